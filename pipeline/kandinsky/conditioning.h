#pragma once

#include <torch/types.h>

#include <vector>

#include "pipeline/models/unet_2d_condition_model.h"

namespace kandinsky {

// Everything about one generation that the decoder U-Net sees besides the noisy latents, and everything in
// which tasks differ: the denoise loop itself is the same for all of them.
class Conditioning {
 public:
  // `image_embeddings` [rows, embedding_dim]: the conditional row, preceded by the unconditional one when
  // guidance is on. `timesteps`: all time-steps of the sampler, in order. Computes what stays constant over
  // the steps (the context keys and values) at once.
  Conditioning(const UNet2DConditionModel& unet, torch::Tensor image_embeddings,
               std::vector<float> timesteps);

  int rows() const { return static_cast<int>(image_embeddings_.size(0)); }

  // The latents that the loop starts from, given standard normal noise scaled for the sampler.
  torch::Tensor InitialLatents(const torch::Tensor& scaled_noise) const { return scaled_noise; }

  // The U-Net's input rows for `latents` [1, 4, h, w]: [rows(), in_channels, h, w].
  torch::Tensor NetworkInput(const torch::Tensor& latents) const;

  const UNetContext& context() const { return context_; }

  // The time conditioning of `step` and its index within the returned chunk. Computed for a chunk of steps at
  // a time: one matrix product per layer instead of one per layer and step.
  struct TimeSlice {
    const UNetTime* time;
    int index;
  };
  TimeSlice TimeAt(const UNet2DConditionModel& unet, int step);

 private:
  const torch::Tensor image_embeddings_;
  const std::vector<float> timesteps_;
  const UNetContext context_;
  UNetTime time_chunk_;
  int chunk_begin_ = -1;  // first step of time_chunk_; -1 before the first call
};

}  // namespace kandinsky
