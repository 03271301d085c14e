#include "pipeline/models/resnet_block_2d.h"

#include <utility>

namespace kandinsky {

ResnetBlock2D::ResnetBlock2D(const ResnetBlock2DOptions& options)
    : norm1(register_module("norm1",
                            std::make_shared<GroupNorm>(options.groups, options.in_channels, options.eps))),
      conv1(register_module("conv1", MakeConv3x3(options.in_channels, options.out_channels))),
      time_emb_proj(register_module(
          "time_emb_proj", std::make_shared<Linear>(options.temb_channels, 2 * options.out_channels))),
      norm2(register_module("norm2",
                            std::make_shared<GroupNorm>(options.groups, options.out_channels, options.eps))),
      conv2(register_module("conv2", MakeConv3x3(options.out_channels, options.out_channels))),
      resample_(options.resample) {
  if (options.in_channels != options.out_channels) {
    conv_shortcut = register_module("conv_shortcut", MakeConv1x1(options.in_channels, options.out_channels));
  }
}

torch::Tensor ResnetBlock2D::EncodeTime(const torch::Tensor& activated_time) const {
  return time_emb_proj->forward(activated_time);
}

torch::Tensor ResnetBlock2D::forward(const torch::Tensor& x, const torch::Tensor& scale_shift) const {
  torch::Tensor y = conv1->forward(ApplyResample(norm1->forward(x, {.silu = true})));
  y = conv2->forward(norm2->ForwardInPlace(std::move(y), {.scale_shift = scale_shift, .silu = true}));
  const torch::Tensor resampled = ApplyResample(x);
  return SumOf(std::move(y), conv_shortcut ? conv_shortcut->forward(resampled) : resampled);
}

torch::Tensor ResnetBlock2D::ApplyResample(const torch::Tensor& x) const {
  switch (resample_) {
    case Resample::kDown:
      return at::avg_pool2d(x, {2, 2});
    case Resample::kUp:
      return at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
    case Resample::kNone:
      break;
  }
  return x;
}

}  // namespace kandinsky
