#pragma once

#include <torch/types.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "pipeline/diffusion/text_encoder.h"

namespace kandinsky {

// What a prior has computed of one text; only the prior that made it reads it. Immutable.
class PriorText {
 public:
  virtual ~PriorText() = default;
  virtual size_t bytes() const = 0;
};

// A diffusion prior: from texts to image embeddings, by its own sampler. Immutable and thread-safe; rows
// never influence each other. Throws what libtorch throws.
class Prior {
 public:
  virtual ~Prior() = default;

  // Values of an image embedding.
  virtual int64_t width() const = 0;

  // What depends on the texts alone: one entry per row, none of which keeps the memory of another.
  virtual std::vector<std::shared_ptr<const PriorText>> Prepare(const TextFeatures& texts) const = 0;

  // The prediction for the rows of `noisy` [N, width], each at its own time-step: [N, width].
  virtual torch::Tensor Predict(const torch::Tensor& noisy, absl::Span<const float> timesteps,
                                absl::Span<const PriorText* const> texts) const = 0;

  // Sampled rows [N, width] as image embeddings [N, width].
  virtual torch::Tensor ToEmbeddings(const torch::Tensor& rows) const = 0;
};

}  // namespace kandinsky
