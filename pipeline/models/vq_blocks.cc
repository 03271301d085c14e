#include "pipeline/models/vq_blocks.h"

#include <utility>

#include "pipeline/models/attention.h"

namespace kandinsky {
namespace {

template <typename T>
std::shared_ptr<TypedModuleList<T>> NewList() {
  return std::make_shared<TypedModuleList<T>>();
}

}  // namespace

AutoencoderResnetBlock::AutoencoderResnetBlock(int64_t in_channels, int64_t out_channels,
                                               const AutoencoderNorm::Options& norm)
    : norm1(*this, "norm1", in_channels, norm),
      conv1(register_module("conv1", MakeConv3x3(in_channels, out_channels))),
      norm2(*this, "norm2", out_channels, norm),
      conv2(register_module("conv2", MakeConv3x3(out_channels, out_channels))) {
  if (in_channels != out_channels) {
    conv_shortcut = register_module("conv_shortcut", MakeConv1x1(in_channels, out_channels));
  }
}

torch::Tensor AutoencoderResnetBlock::forward(const torch::Tensor& x, const torch::Tensor& latents) const {
  torch::Tensor y = conv1->forward(norm1.forward(x, latents, /*silu=*/true));
  y = conv2->forward(norm2.ForwardInPlace(std::move(y), latents, /*silu=*/true));
  return SumOf(std::move(y), conv_shortcut ? conv_shortcut->forward(x) : x);
}

AutoencoderAttention::AutoencoderAttention(int64_t channels, const AutoencoderNorm::Options& norm_options)
    : norm(*this, norm_options.spatial() ? "spatial_norm" : "group_norm", channels, norm_options),
      to_q(register_module("to_q", std::make_shared<Linear>(channels, channels))),
      to_k(register_module("to_k", std::make_shared<Linear>(channels, channels))),
      to_v(register_module("to_v", std::make_shared<Linear>(channels, channels))),
      to_out(register_module("to_out", NewList<Linear>())) {
  to_out->push_back(std::make_shared<Linear>(channels, channels));
}

torch::Tensor AutoencoderAttention::forward(const torch::Tensor& x, const torch::Tensor& latents) const {
  const torch::Tensor tokens = norm.forward(x, latents).permute({0, 2, 3, 1}).flatten(1, 2);
  const torch::Tensor mixed =
      Attention(SplitHeads(to_q->forward(tokens), 1), SplitHeads(to_k->forward(tokens), 1),
                SplitHeads(to_v->forward(tokens), 1));
  const torch::Tensor out = (*to_out)[0].forward(MergeHeads(mixed));
  return x + out.unflatten(1, {x.size(2), x.size(3)}).permute({0, 3, 1, 2});
}

AutoencoderDownsample::AutoencoderDownsample(int64_t channels)
    : conv(register_module(
          "conv", std::make_shared<Conv2d>(Conv2dOptions{
                      .in_channels = channels, .out_channels = channels, .stride = 2, .padding = 0}))) {}

torch::Tensor AutoencoderDownsample::forward(const torch::Tensor& x) const {
  return conv->forward(at::constant_pad_nd(x, {0, 1, 0, 1}));
}

AutoencoderUpsample::AutoencoderUpsample(int64_t channels)
    : conv(register_module("conv", MakeConv3x3(channels, channels))) {}

torch::Tensor AutoencoderUpsample::forward(const torch::Tensor& x) const {
  return conv->forward(at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)}));
}

AutoencoderBlock::AutoencoderBlock(const Shape& shape, const AutoencoderNorm::Options& norm)
    : attentions(register_module("attentions", NewList<AutoencoderAttention>())),
      resnets(register_module("resnets", NewList<AutoencoderResnetBlock>())),
      downsamplers(register_module("downsamplers", NewList<AutoencoderDownsample>())),
      upsamplers(register_module("upsamplers", NewList<AutoencoderUpsample>())) {
  for (int64_t i = 0; i < shape.layers; ++i) {
    resnets->push_back(std::make_shared<AutoencoderResnetBlock>(
        i == 0 ? shape.in_channels : shape.out_channels, shape.out_channels, norm));
    if (shape.with_attention) {
      attentions->push_back(std::make_shared<AutoencoderAttention>(shape.out_channels, norm));
    }
  }
  if (shape.with_downsampler)
    downsamplers->push_back(std::make_shared<AutoencoderDownsample>(shape.out_channels));
  if (shape.with_upsampler) upsamplers->push_back(std::make_shared<AutoencoderUpsample>(shape.out_channels));
}

torch::Tensor AutoencoderBlock::forward(torch::Tensor x, const torch::Tensor& latents) const {
  for (size_t i = 0; i < resnets->size(); ++i) {
    x = (*resnets)[i].forward(x, latents);
    if (i < attentions->size()) x = (*attentions)[i].forward(x, latents);
  }
  for (const auto& downsampler : *downsamplers) x = downsampler->forward(x);
  for (const auto& upsampler : *upsamplers) x = upsampler->forward(x);
  return x;
}

AutoencoderMidBlock::AutoencoderMidBlock(int64_t channels, bool with_attention,
                                         const AutoencoderNorm::Options& norm)
    : attentions(register_module("attentions", NewList<AutoencoderAttention>())),
      resnets(register_module("resnets", NewList<AutoencoderResnetBlock>())) {
  resnets->push_back(std::make_shared<AutoencoderResnetBlock>(channels, channels, norm));
  if (with_attention) attentions->push_back(std::make_shared<AutoencoderAttention>(channels, norm));
  resnets->push_back(std::make_shared<AutoencoderResnetBlock>(channels, channels, norm));
}

torch::Tensor AutoencoderMidBlock::forward(const torch::Tensor& x, const torch::Tensor& latents) const {
  torch::Tensor y = (*resnets)[0].forward(x, latents);
  for (const auto& attention : *attentions) y = attention->forward(y, latents);
  return (*resnets)[1].forward(y, latents);
}

}  // namespace kandinsky
