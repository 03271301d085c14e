#pragma once

#include <torch/types.h>

#include <vector>

#include "pipeline/diffusion/denoiser.h"
#include "pipeline/diffusion/text_encoder.h"

namespace kandinsky {

// What the stages before the denoise loop made for one sample.
struct ConditionParts {
  // Whether there is an unconditional pass; what it reads is undefined otherwise.
  bool guided = false;
  torch::Tensor embedding = {};           // image embedding [1, embedding_dim]; undefined without
  torch::Tensor negative_embedding = {};  // of the unconditional pass
  std::vector<TextFeatures> texts = {};   // by SampleRecipe::denoiser_texts, one row each
  std::vector<TextFeatures> unconditional_texts = {};
};

// How a family puts image embeddings and texts together for its denoiser. Immutable and thread-safe.
class Conditioner {
 public:
  virtual ~Conditioner() = default;
  virtual DenoiserCondition Combine(const ConditionParts& parts) const = 0;
};

}  // namespace kandinsky
