#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/models/layers.h"
#include "pipeline/models/resnet_block_2d.h"
#include "pipeline/models/unet_conditions.h"

namespace kandinsky {

// What all blocks of one U-Net share.
struct UNetBlockOptions {
  int64_t temb_channels = 0;
  int64_t cross_attention_dim = 0;
  int64_t attention_head_dim = 64;
  int64_t groups = 32;
  double eps = 1e-5;
};

// Attention of image positions over themselves and the image tokens, which come first ("Attention" of
// diffusers with AttnAddedKVProcessor). The module holds its own group norm and adds its input.
class AddedKVAttention : public torch::nn::Module {
 public:
  AddedKVAttention(int64_t channels, const UNetBlockOptions& options);

  // x [N, channels, h, w], context from add_k_proj and add_v_proj, [N, L, channels] -> as x.
  torch::Tensor forward(const torch::Tensor& x, UNetConditionReader::KeyValue context) const;

  std::shared_ptr<GroupNorm> group_norm;
  std::shared_ptr<Linear> to_q;
  std::shared_ptr<Linear> to_k;
  std::shared_ptr<Linear> to_v;
  std::shared_ptr<Linear> add_k_proj;
  std::shared_ptr<Linear> add_v_proj;
  std::shared_ptr<TypedModuleList<Linear>> to_out;

 private:
  const int64_t heads_;
};

// One level on the way down: "ResnetDownsampleBlock2D", or with attention "SimpleCrossAttnDownBlock2D".
class UNetDownBlock : public torch::nn::Module {
 public:
  struct Shape {
    int64_t in_channels = 0;
    int64_t out_channels = 0;
    int64_t layers = 0;
    bool with_attention = false;
    bool with_downsampler = false;
  };

  UNetDownBlock(const Shape& shape, const UNetBlockOptions& options);

  // Appends every intermediate result to `skips`.
  torch::Tensor forward(torch::Tensor x, UNetConditionReader& conditions,
                        std::vector<torch::Tensor>& skips) const;

  std::shared_ptr<TypedModuleList<AddedKVAttention>> attentions;
  std::shared_ptr<TypedModuleList<ResnetBlock2D>> resnets;
  std::shared_ptr<TypedModuleList<ResnetBlock2D>> downsamplers;
};

// "UNetMidBlock2DSimpleCrossAttn".
class UNetMidBlock : public torch::nn::Module {
 public:
  UNetMidBlock(int64_t channels, const UNetBlockOptions& options);

  torch::Tensor forward(const torch::Tensor& x, UNetConditionReader& conditions) const;

  std::shared_ptr<TypedModuleList<AddedKVAttention>> attentions;
  std::shared_ptr<TypedModuleList<ResnetBlock2D>> resnets;
};

// One level on the way up: "ResnetUpsampleBlock2D", or with attention "SimpleCrossAttnUpBlock2D".
class UNetUpBlock : public torch::nn::Module {
 public:
  struct Shape {
    int64_t in_channels = 0;  // of what comes from below
    int64_t out_channels = 0;
    std::vector<int64_t> skip_channels;  // one per layer, in the order of use
    bool with_attention = false;
    bool with_upsampler = false;
  };

  UNetUpBlock(const Shape& shape, const UNetBlockOptions& options);

  // Takes one skip from the back of `skips` for every layer.
  torch::Tensor forward(torch::Tensor x, UNetConditionReader& conditions,
                        std::vector<torch::Tensor>& skips) const;

  std::shared_ptr<TypedModuleList<AddedKVAttention>> attentions;
  std::shared_ptr<TypedModuleList<ResnetBlock2D>> resnets;
  std::shared_ptr<TypedModuleList<ResnetBlock2D>> upsamplers;
};

}  // namespace kandinsky
