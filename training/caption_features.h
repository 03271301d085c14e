#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/feature_cache.h"

namespace kandinsky::training {

// What the text tower makes of every different caption of a dataset, and of the empty one. Immutable,
// thread-safe.
class CaptionFeatures {
 public:
  static constexpr int64_t kEmptyCaption = 0;  // row

  struct Batch {
    torch::Tensor embeds;  // [B, E]
    torch::Tensor hidden;  // [B, tokens of the window, E], zero behind the end of a text
    torch::Tensor mask;    // bool [B, tokens of the window]
  };

  // Takes the features from `cache_folder`, or computes them with the text tower.
  static absl::StatusOr<CaptionFeatures> Open(const PriorFiles& files,
                                              const std::vector<TrainingSample>& samples,
                                              const std::string& cache_folder,
                                              const FeatureCache::Progress& progress);

  // The rows of a sample's captions, at least one.
  const std::vector<int64_t>& RowsOf(int64_t sample) const { return rows_[static_cast<size_t>(sample)]; }

  Batch Get(absl::Span<const int64_t> rows) const;

 private:
  explicit CaptionFeatures(FeatureCache cache) : cache_(std::move(cache)) {}

  FeatureCache cache_;
  std::vector<std::vector<int64_t>> rows_;
  int64_t window_ = 0;  // tokens
};

}  // namespace kandinsky::training
