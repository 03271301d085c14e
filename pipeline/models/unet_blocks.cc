#include "pipeline/models/unet_blocks.h"

#include "pipeline/models/attention.h"

namespace kandinsky {
namespace {

struct ResnetShape {
  int64_t in_channels;
  int64_t out_channels;
  Resample resample = Resample::kNone;
};

std::shared_ptr<ResnetBlock2D> MakeResnet(const ResnetShape& shape, const UNetBlockOptions& options) {
  return std::make_shared<ResnetBlock2D>(ResnetBlock2DOptions{.in_channels = shape.in_channels,
                                                              .out_channels = shape.out_channels,
                                                              .temb_channels = options.temb_channels,
                                                              .groups = options.groups,
                                                              .eps = options.eps,
                                                              .resample = shape.resample});
}

template <typename T>
std::shared_ptr<TypedModuleList<T>> NewList() {
  return std::make_shared<TypedModuleList<T>>();
}

}  // namespace

AddedKVAttention::AddedKVAttention(int64_t channels, const UNetBlockOptions& options)
    // diffusers does not hand norm_eps to this norm: its epsilon is the default of the attention class.
    : group_norm(register_module("group_norm", std::make_shared<GroupNorm>(options.groups, channels, 1e-5))),
      to_q(register_module("to_q", std::make_shared<Linear>(channels, channels))),
      to_k(register_module("to_k", std::make_shared<Linear>(channels, channels))),
      to_v(register_module("to_v", std::make_shared<Linear>(channels, channels))),
      add_k_proj(
          register_module("add_k_proj", std::make_shared<Linear>(options.cross_attention_dim, channels))),
      add_v_proj(
          register_module("add_v_proj", std::make_shared<Linear>(options.cross_attention_dim, channels))),
      to_out(register_module("to_out", NewList<Linear>())),
      heads_(channels / options.attention_head_dim) {
  to_out->push_back(std::make_shared<Linear>(channels, channels));
}

torch::Tensor AddedKVAttention::forward(const torch::Tensor& x, UNetConditionReader::KeyValue context) const {
  const int64_t height = x.size(2);
  const int64_t width = x.size(3);
  // A view of channels_last activations.
  const torch::Tensor tokens = group_norm->forward(x).permute({0, 2, 3, 1}).flatten(1, 2);
  const torch::Tensor query = to_q->forward(tokens);
  const torch::Tensor key = at::cat({context.key, to_k->forward(tokens)}, 1);
  const torch::Tensor value = at::cat({context.value, to_v->forward(tokens)}, 1);
  const torch::Tensor mixed =
      Attention(SplitHeads(query, heads_), SplitHeads(key, heads_), SplitHeads(value, heads_));
  const torch::Tensor out = (*to_out)[0].forward(MergeHeads(mixed));
  return x + out.unflatten(1, {height, width}).permute({0, 3, 1, 2});
}

UNetDownBlock::UNetDownBlock(const Shape& shape, const UNetBlockOptions& options)
    : attentions(register_module("attentions", NewList<AddedKVAttention>())),
      resnets(register_module("resnets", NewList<ResnetBlock2D>())),
      downsamplers(register_module("downsamplers", NewList<ResnetBlock2D>())) {
  for (int64_t i = 0; i < shape.layers; ++i) {
    const int64_t in_channels = i == 0 ? shape.in_channels : shape.out_channels;
    resnets->push_back(MakeResnet({in_channels, shape.out_channels}, options));
    if (shape.with_attention) {
      attentions->push_back(std::make_shared<AddedKVAttention>(shape.out_channels, options));
    }
  }
  if (shape.with_downsampler) {
    downsamplers->push_back(MakeResnet({shape.out_channels, shape.out_channels, Resample::kDown}, options));
  }
}

torch::Tensor UNetDownBlock::forward(torch::Tensor x, UNetConditionReader& conditions,
                                     std::vector<torch::Tensor>& skips) const {
  for (size_t i = 0; i < resnets->size(); ++i) {
    x = (*resnets)[i].forward(x, conditions.NextScaleShift());
    if (i < attentions->size()) x = (*attentions)[i].forward(x, conditions.NextContext());
    skips.push_back(x);
  }
  for (const auto& downsampler : *downsamplers) {
    x = downsampler->forward(x, conditions.NextScaleShift());
    skips.push_back(x);
  }
  return x;
}

UNetMidBlock::UNetMidBlock(int64_t channels, const UNetBlockOptions& options)
    : attentions(register_module("attentions", NewList<AddedKVAttention>())),
      resnets(register_module("resnets", NewList<ResnetBlock2D>())) {
  resnets->push_back(MakeResnet({channels, channels}, options));
  attentions->push_back(std::make_shared<AddedKVAttention>(channels, options));
  resnets->push_back(MakeResnet({channels, channels}, options));
}

torch::Tensor UNetMidBlock::forward(const torch::Tensor& x, UNetConditionReader& conditions) const {
  torch::Tensor y = (*resnets)[0].forward(x, conditions.NextScaleShift());
  y = (*attentions)[0].forward(y, conditions.NextContext());
  return (*resnets)[1].forward(y, conditions.NextScaleShift());
}

UNetUpBlock::UNetUpBlock(const Shape& shape, const UNetBlockOptions& options)
    : attentions(register_module("attentions", NewList<AddedKVAttention>())),
      resnets(register_module("resnets", NewList<ResnetBlock2D>())),
      upsamplers(register_module("upsamplers", NewList<ResnetBlock2D>())) {
  for (size_t i = 0; i < shape.skip_channels.size(); ++i) {
    const int64_t current = i == 0 ? shape.in_channels : shape.out_channels;
    resnets->push_back(MakeResnet({current + shape.skip_channels[i], shape.out_channels}, options));
    if (shape.with_attention) {
      attentions->push_back(std::make_shared<AddedKVAttention>(shape.out_channels, options));
    }
  }
  if (shape.with_upsampler) {
    upsamplers->push_back(MakeResnet({shape.out_channels, shape.out_channels, Resample::kUp}, options));
  }
}

torch::Tensor UNetUpBlock::forward(torch::Tensor x, UNetConditionReader& conditions,
                                   std::vector<torch::Tensor>& skips) const {
  for (size_t i = 0; i < resnets->size(); ++i) {
    x = at::cat({x, skips.back()}, 1);
    skips.pop_back();
    x = (*resnets)[i].forward(x, conditions.NextScaleShift());
    if (i < attentions->size()) x = (*attentions)[i].forward(x, conditions.NextContext());
  }
  for (const auto& upsampler : *upsamplers) x = upsampler->forward(x, conditions.NextScaleShift());
  return x;
}

}  // namespace kandinsky
