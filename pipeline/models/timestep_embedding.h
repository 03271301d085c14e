#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "pipeline/models/layers.h"

namespace kandinsky {

// How a time-step becomes a vector; the field names and defaults of the published U-Net configurations.
struct TimestepFeatureOptions {
  int64_t channels = 0;         // even
  bool flip_sin_to_cos = true;  // cosines first
  double freq_shift = 0;
};

// Sinusoidal features of `timesteps` [N] (any real dtype, fractions allowed): float32 [N, channels].
torch::Tensor TimestepFeatures(const torch::Tensor& timesteps, const TimestepFeatureOptions& options);

// Linear, SiLU, Linear on the sinusoidal features ("TimestepEmbedding").
class TimestepEmbedding : public torch::nn::Module {
 public:
  TimestepEmbedding(int64_t in_channels, int64_t time_embed_dim);

  // float32 features [N, in_channels] -> [N, time_embed_dim] in the dtype of the weights.
  torch::Tensor forward(const torch::Tensor& features) const;

  std::shared_ptr<Linear> linear_1;
  std::shared_ptr<Linear> linear_2;
};

}  // namespace kandinsky
