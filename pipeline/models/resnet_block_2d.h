#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "pipeline/models/layers.h"

namespace kandinsky {

// Halves or doubles height and width inside a residual block, or leaves them.
enum class Resample { kNone, kDown, kUp };

struct ResnetBlock2DOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t temb_channels = 0;
  int64_t groups = 32;
  double eps = 1e-5;
  Resample resample = Resample::kNone;
};

// The U-Net's residual block with scale-shift conditioning ("ResnetBlock2D" of diffusers with
// resnet_time_scale_shift "scale_shift"). Resampling is average pooling or nearest, without parameters.
class ResnetBlock2D : public torch::nn::Module {
 public:
  explicit ResnetBlock2D(const ResnetBlock2DOptions& options);

  // SiLU of the time embedding [..., temb_channels] -> scale and shift [..., 2 * out_channels].
  torch::Tensor EncodeTime(const torch::Tensor& activated_time) const;

  // x [N, in_channels, h, w], scale_shift [N, 2 * out_channels] -> [N, out_channels, h', w'].
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& scale_shift) const;

  std::shared_ptr<GroupNorm> norm1;
  std::shared_ptr<Conv2d> conv1;
  std::shared_ptr<Linear> time_emb_proj;
  std::shared_ptr<GroupNorm> norm2;
  std::shared_ptr<Conv2d> conv2;
  std::shared_ptr<Conv2d> conv_shortcut;  // null when the channels stay

 private:
  torch::Tensor ApplyResample(const torch::Tensor& x) const;

  const Resample resample_;
};

}  // namespace kandinsky
