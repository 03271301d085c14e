#pragma once

#include <torch/types.h>

#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "pipeline/diffusion/text_encoder.h"

namespace kandinsky {

// What a denoiser sees of a sample besides its latents. With guidance every tensor has two rows, first the
// unconditional one, otherwise one. A family's Conditioner fills what its denoiser reads.
struct DenoiserCondition {
  torch::Tensor image_embeddings = {};   // [rows, embedding_dim]
  std::vector<TextFeatures> texts = {};  // one per text encoder, of `rows` rows
};

// What a denoiser has computed of a sample's condition, for all steps of its loop; only the denoiser that
// made it reads it. Used by one thread.
class DenoiserState {
 public:
  virtual ~DenoiserState() = default;
  virtual int rows() const = 0;
};

// The rows of one sample in a batch.
struct DenoiserRows {
  DenoiserState* state = nullptr;
  int step = 0;  // index into the time-steps of Denoiser::Start
};

// The network that predicts the noise in latents. Immutable and thread-safe; rows never influence each other.
// Throws what libtorch throws.
class Denoiser {
 public:
  virtual ~Denoiser() = default;

  // Computes what stays constant over the steps at `timesteps`.
  virtual std::unique_ptr<DenoiserState> Start(DenoiserCondition condition,
                                               const std::vector<float>& timesteps) const = 0;

  // The prediction for `input` [N, channels, h, w], the rows of all `samples` in order. May keep in the
  // states what later steps need again; to be called again gives the same.
  virtual torch::Tensor Predict(const torch::Tensor& input, absl::Span<const DenoiserRows> samples) const = 0;

  // A hint [1, 3, H, W] in 0..1 as further input channels [1, n, h, w]. Only of networks that take hints.
  virtual torch::Tensor EncodeHint(const torch::Tensor& hint) const = 0;
};

}  // namespace kandinsky
