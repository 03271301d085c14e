#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "pipeline/models/layers.h"
#include "pipeline/models/spatial_norm.h"

namespace kandinsky {

// Residual block of the autoencoder, without time embedding ("ResnetBlock2D"; with spatial norm
// "ResnetBlockCondNorm2D").
class AutoencoderResnetBlock : public torch::nn::Module {
 public:
  AutoencoderResnetBlock(int64_t in_channels, int64_t out_channels, const AutoencoderNorm::Options& norm);

  // x [N, in_channels, H, W] -> [N, out_channels, H, W].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& latents) const;

  AutoencoderNorm norm1;
  std::shared_ptr<Conv2d> conv1;
  AutoencoderNorm norm2;
  std::shared_ptr<Conv2d> conv2;
  std::shared_ptr<Conv2d> conv_shortcut;  // null when the channels stay
};

// Single-head attention over all positions, with its own norm and residual.
class AutoencoderAttention : public torch::nn::Module {
 public:
  AutoencoderAttention(int64_t channels, const AutoencoderNorm::Options& norm);

  // x [N, channels, H, W] -> as x.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& latents) const;

  AutoencoderNorm norm;  // "group_norm", or "spatial_norm"
  std::shared_ptr<Linear> to_q;
  std::shared_ptr<Linear> to_k;
  std::shared_ptr<Linear> to_v;
  std::shared_ptr<TypedModuleList<Linear>> to_out;
};

// Halves height and width: zeros at the right and bottom edge, then a stride-2 convolution ("Downsample2D").
class AutoencoderDownsample : public torch::nn::Module {
 public:
  explicit AutoencoderDownsample(int64_t channels);
  torch::Tensor forward(const torch::Tensor& x) const;

  std::shared_ptr<Conv2d> conv;
};

// Doubles height and width: nearest, then a convolution ("Upsample2D").
class AutoencoderUpsample : public torch::nn::Module {
 public:
  explicit AutoencoderUpsample(int64_t channels);
  torch::Tensor forward(const torch::Tensor& x) const;

  std::shared_ptr<Conv2d> conv;
};

// One level of encoder or decoder: "DownEncoderBlock2D", "AttnDownEncoderBlock2D", "UpDecoderBlock2D" or
// "AttnUpDecoderBlock2D".
class AutoencoderBlock : public torch::nn::Module {
 public:
  struct Shape {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t layers = 0;
    bool with_attention = false;
    bool with_downsampler = false;
    bool with_upsampler = false;
  };

  AutoencoderBlock(const Shape& shape, const AutoencoderNorm::Options& norm);

  torch::Tensor forward(torch::Tensor x, const torch::Tensor& latents) const;

  std::shared_ptr<TypedModuleList<AutoencoderAttention>> attentions;
  std::shared_ptr<TypedModuleList<AutoencoderResnetBlock>> resnets;
  std::shared_ptr<TypedModuleList<AutoencoderDownsample>> downsamplers;
  std::shared_ptr<TypedModuleList<AutoencoderUpsample>> upsamplers;
};

// The block at the lowest resolution ("UNetMidBlock2D").
class AutoencoderMidBlock : public torch::nn::Module {
 public:
  AutoencoderMidBlock(int64_t channels, bool with_attention, const AutoencoderNorm::Options& norm);

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& latents) const;

  std::shared_ptr<TypedModuleList<AutoencoderAttention>> attentions;
  std::shared_ptr<TypedModuleList<AutoencoderResnetBlock>> resnets;
};

}  // namespace kandinsky
