#include "training/caption_features.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/status_macros.h"
#include "training/fingerprint.h"
#include "training/frozen_networks.h"

namespace kandinsky::training {
namespace {

struct DistinctCaptions {
  std::vector<std::string> texts = {""};
  std::vector<std::vector<int64_t>> rows;  // of each sample
};

DistinctCaptions Collect(const std::vector<TrainingSample>& samples) {
  DistinctCaptions captions;
  std::map<std::string, int64_t> row_of = {{"", CaptionFeatures::kEmptyCaption}};
  for (const TrainingSample& sample : samples) {
    std::vector<int64_t>& rows = captions.rows.emplace_back();
    for (const std::string& caption : sample.captions) {
      const auto [found, is_new] = row_of.emplace(caption, static_cast<int64_t>(captions.texts.size()));
      if (is_new) captions.texts.push_back(caption);
      rows.push_back(found->second);
    }
    if (rows.empty()) rows.push_back(CaptionFeatures::kEmptyCaption);
  }
  return captions;
}

// Computes texts begin .. end - 1. Hidden states are kept up to the longest text of the call.
NamedTensors Encode(const TextEncoder& encoder, const std::vector<std::string>& texts, int64_t begin,
                    int64_t end) {
  const at::NoGradGuard no_grad;
  std::vector<TextTokens> tokens;
  for (int64_t i = begin; i < end; ++i) tokens.push_back(encoder.Tokenize(texts[static_cast<size_t>(i)]));
  std::vector<const TextTokens*> rows;
  std::vector<int64_t> lengths;
  for (const TextTokens& text : tokens) {
    rows.push_back(&text);
    lengths.push_back(text.kept);
  }
  const TextFeatures features = encoder.Encode(rows);
  const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
  return {{"embeds", features.pooled},
          {"hidden", features.hidden_states.narrow(1, 0, longest).contiguous()},
          {"tokens", Placement().Ids(lengths)}};
}

std::string FingerprintOf(const PriorFiles& files, const std::vector<std::string>& texts) {
  Fingerprint print;
  print.Add(files.text_encoder.config.json.dump()).AddFolder(files.text_encoder.folder);
  for (const char* file : {"/vocab.json", "/merges.txt", "/tokenizer.json"}) {
    print.AddFile(files.tokenizer_folder + file);
  }
  for (const std::string& text : texts) print.Add(text);
  return "captions-1-" + print.ToString();  // 1: of what is computed and how
}

}  // namespace

absl::StatusOr<CaptionFeatures> CaptionFeatures::Open(const PriorFiles& files,
                                                      const std::vector<TrainingSample>& samples,
                                                      const std::string& cache_folder,
                                                      const FeatureCache::Progress& progress) {
  ASSIGN_OR_RETURN(const FrozenTextEncoder text, LoadTextEncoder(files));
  DistinctCaptions captions = Collect(samples);
  const auto compute = [&](int64_t begin, int64_t end) -> absl::StatusOr<NamedTensors> {
    return Encode(*text.encoder, captions.texts, begin, end);
  };
  ASSIGN_OR_RETURN(FeatureCache cache,
                   FeatureCache::Open(cache_folder, FingerprintOf(files, captions.texts),
                                      static_cast<int64_t>(captions.texts.size()), compute, progress));
  CaptionFeatures features(std::move(cache));
  features.rows_ = std::move(captions.rows);
  features.window_ = text.window;
  return features;
}

CaptionFeatures::Batch CaptionFeatures::Get(absl::Span<const int64_t> rows) const {
  const torch::Tensor lengths = cache_.Rows("tokens", rows).unsqueeze(1);
  return {.embeds = cache_.Rows("embeds", rows),
          .hidden = cache_.Rows("hidden", rows, window_),
          .mask = at::arange(window_).unsqueeze(0) < lengths};
}

}  // namespace kandinsky::training
