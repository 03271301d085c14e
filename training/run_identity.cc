#include "training/run_identity.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "training/fingerprint.h"

namespace kandinsky {
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

std::string RunIdentityOf(const TrainingOptions& options, const ModelDirectory& files,
                          const std::vector<TrainingSample>& samples) {
  const OptimizerOptions& optimizer = options.optimizer;
  std::string text = absl::StrCat(
      options.target == TrainingTarget::kPrior ? "prior" : "decoder", ", seed ", options.seed, ", ",
      options.accumulation_steps, " x ", options.batch_size, " of ", samples.size(), " samples ",
      DataFingerprint(options, samples), ", model ", ModelFingerprint(options, files), ", optimizer ",
      static_cast<int>(optimizer.kind), " ",
      absl::StrJoin({optimizer.beta1, optimizer.beta2, optimizer.epsilon, optimizer.weight_decay,
                     optimizer.max_gradient_norm},
                    "/"),
      ", precision ", static_cast<int>(options.precision), ", weighting ", options.snr_gamma.value_or(0));
  if (options.target == TrainingTarget::kPrior) {
    absl::StrAppend(&text, ", caption dropout ", options.caption_dropout);
  } else {
    absl::StrAppend(&text, ", embedding dropout ", options.embedding_dropout, ", noise ",
                    options.embedding_noise, ", ", options.data.resolution, " pixels");
    if (options.embedding_exchange > 0) {
      absl::StrAppend(&text, ", embedding exchange ", options.embedding_exchange);
    }
  }
  if (options.lora.has_value()) {
    absl::StrAppend(&text, ", adapters of rank ", options.lora->rank, " on ",
                    absl::StrJoin(options.lora->targets, "+"));
  }
  if (options.ema.has_value()) absl::StrAppend(&text, ", average ", options.ema->decay);
  return text;
}

}  // namespace kandinsky
