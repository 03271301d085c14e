#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "pipeline/models/layers.h"

namespace kandinsky {

// Group norm whose scale and shift are read off the latents at every position ("SpatialNorm" of diffusers).
// The 1x1 convolutions run on the small latents and their results are enlarged: nearest interpolation copies
// positions and a 1x1 convolution looks at one position only, so the order does not matter.
class SpatialNorm : public torch::nn::Module {
 public:
  SpatialNorm(int64_t channels, int64_t latent_channels);

  // x [N, channels, H, W], latents [N, latent_channels, h, w] -> as x; with `silu`, y * sigmoid(y) of it.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& latents, bool silu = false) const;
  // The same for an `x` that nobody else uses: reuses its memory where it can.
  torch::Tensor ForwardInPlace(torch::Tensor&& x, const torch::Tensor& latents, bool silu = false) const;

  std::shared_ptr<GroupNorm> norm_layer;
  std::shared_ptr<Conv2d> conv_y;
  std::shared_ptr<Conv2d> conv_b;

 private:
  GroupNormEpilogue EpilogueOf(const torch::Tensor& latents, bool silu) const;
};

// One normalization of the autoencoder: plain group norm in the encoder and with norm_type "group", spatial
// norm otherwise. Registers itself under the published names, which differ between the two.
class AutoencoderNorm {
 public:
  struct Options {
    int64_t groups = 32;
    int64_t latent_channels = 0;  // 0: plain group norm
    bool spatial() const { return latent_channels > 0; }
  };

  // Registers the norm in `owner` as `name`.
  AutoencoderNorm(torch::nn::Module& owner, const std::string& name, int64_t channels,
                  const Options& options);

  // x [N, channels, H, W]; `latents` is not read by a plain norm. With `silu`, y * sigmoid(y) of the result.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& latents, bool silu = false) const;
  // The same for an `x` that nobody else uses: reuses its memory where it can.
  torch::Tensor ForwardInPlace(torch::Tensor&& x, const torch::Tensor& latents, bool silu = false) const;

 private:
  std::shared_ptr<GroupNorm> group_norm_;
  std::shared_ptr<SpatialNorm> spatial_norm_;
};

}  // namespace kandinsky
