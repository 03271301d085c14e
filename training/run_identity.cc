#include "training/run_identity.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "training/fingerprint.h"

namespace kandinsky::training {
namespace {

std::string DataFingerprint(const TrainingOptions& options, const std::vector<TrainingSample>& samples) {
  Fingerprint print;
  for (const TrainingSample& sample : samples) {
    print.Add(sample.image_path).Add(sample.hint_path);
    if (options.target == TrainingTarget::kPrior) print.Add(absl::StrJoin(sample.captions, "\n"));
  }
  return print.ToString();
}

// The weights that training began with matter as long as it goes on: adapters are nothing without them, and
// the frozen networks are never in a checkpoint.
std::string ModelFingerprint(const TrainingOptions& options, const ModelDirectory& files) {
  Fingerprint print;
  print.AddFolder(files.prior.image_encoder.folder);
  const bool prior = options.target == TrainingTarget::kPrior;
  print.AddFolder(prior ? files.prior.text_encoder.folder : files.decoder.movq.folder);
  const NetworkFiles& trained = prior ? files.prior.prior : files.decoder.unet;
  print.Add(trained.config.json.dump());
  if (options.lora.has_value()) print.AddFolder(trained.folder);
  return print.ToString();
}

}  // namespace

RunIdentity RunIdentityOf(const TrainingOptions& options, const ModelDirectory& files,
                          const std::vector<TrainingSample>& samples) {
  const OptimizerOptions& optimizer = options.optimizer;
  const bool prior = options.target == TrainingTarget::kPrior;
  RunIdentity identity;
  const auto add = [&](const char* field, const auto& value) {
    identity.emplace_back(field, absl::StrCat(value));
  };
  add("target", prior ? "prior" : "decoder");
  add("seed", options.seed);
  add("batch_size", options.batch_size);
  add("accumulation_steps", options.accumulation_steps);
  add("number of images", samples.size());
  add("fingerprint of images and captions", DataFingerprint(options, samples));
  add("fingerprint of the model", ModelFingerprint(options, files));
  add("optimizer.kind", optimizer.kind == OptimizerKind::kAdamW ? "AdamW" : "Adafactor");
  add("optimizer.beta1", optimizer.beta1);
  add("optimizer.beta2", optimizer.beta2);
  add("optimizer.epsilon", optimizer.epsilon);
  add("optimizer.weight_decay", optimizer.weight_decay);
  add("optimizer.max_gradient_norm", optimizer.max_gradient_norm);
  add("precision", options.precision == Precision::kBFloat16 ? "bfloat16" : "float32");
  if (options.snr_gamma.has_value()) add("snr_gamma", *options.snr_gamma);
  if (prior) {
    add("caption_dropout", options.caption_dropout);
  } else {
    add("embedding_dropout", options.embedding_dropout);
    add("embedding_noise", options.embedding_noise);
    add("embedding_exchange", options.embedding_exchange);
    add("data.resolution", options.data.resolution);
  }
  if (options.lora.has_value()) {
    add("lora.rank", options.lora->rank);
    add("lora.targets", absl::StrJoin(options.lora->targets, ","));
  }
  if (options.ema.has_value()) add("ema.decay", options.ema->decay);
  return identity;
}

std::string IdentityDifferences(const RunIdentity& before, const RunIdentity& now) {
  std::set<std::string> fields;
  const auto values = [&](const RunIdentity& identity) {
    std::map<std::string, std::string> by_field;
    for (const auto& [field, value] : identity) {
      by_field[field] = value;
      fields.insert(field);
    }
    return by_field;
  };
  const std::map<std::string, std::string> old_values = values(before);
  const std::map<std::string, std::string> new_values = values(now);
  std::vector<std::string> differences;
  const auto value_in = [](const std::map<std::string, std::string>& by_field, const std::string& field) {
    const auto found = by_field.find(field);
    return found == by_field.end() ? "not set" : found->second;
  };
  for (const std::string& field : fields) {
    const std::string was = value_in(old_values, field);
    const std::string is = value_in(new_values, field);
    if (was != is) differences.push_back(absl::StrCat(field, " was ", was, " and is ", is));
  }
  return absl::StrJoin(differences, ", ");
}

}  // namespace kandinsky::training
