#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "training/dataset/caption_dataset.h"

namespace kandinsky::training {

// Which samples have a caption in common. The prior makes an embedding of what the caption says, not of the
// very image that a hint or a kept part belongs to; the decoder meets the same in training when it sees the
// embedding of another image with the same caption. Immutable, thread-safe.
class EmbeddingExchange {
 public:
  explicit EmbeddingExchange(absl::Span<const TrainingSample> samples);

  // A sample that shares a caption with `sample`, which may be itself: `first` chooses among its captions,
  // `second` among the samples that have that one, both from 0 to below 1. A sample without a caption gives
  // itself.
  int64_t Draw(int64_t sample, float first, float second) const;

 private:
  std::vector<std::vector<int64_t>> captions_of_;  // by sample
  std::vector<std::vector<int64_t>> samples_of_;   // by caption
};

}  // namespace kandinsky::training
