#include "pipeline/models/unet_2d_condition_model.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kandinsky {
namespace {

constexpr int64_t kImageTokens = 32;
constexpr int64_t kTimeEmbeddingFactor = 4;

struct HintConv {
  int64_t in_channels;
  int64_t out_channels;
  int64_t stride;
};
constexpr std::array<HintConv, 8> kHintBlock = {
    {{3, 16, 1}, {16, 16, 1}, {16, 32, 2}, {32, 32, 1}, {32, 96, 2}, {96, 96, 1}, {96, 256, 2}, {256, 4, 1}}};

UNetBlockOptions BlockOptions(const UNet2DConditionConfig& config) {
  return {.temb_channels = kTimeEmbeddingFactor * config.block_out_channels[0],
          .cross_attention_dim = config.cross_attention_dim,
          .attention_head_dim = config.attention_head_dim,
          .groups = config.norm_num_groups,
          .eps = config.norm_eps};
}

}  // namespace

ImageTimeEmbedding::ImageTimeEmbedding(int64_t image_embed_dim, int64_t time_embed_dim, bool with_hint_block)
    : image_proj(register_module("image_proj", std::make_shared<Linear>(image_embed_dim, time_embed_dim))),
      image_norm(register_module("image_norm", std::make_shared<LayerNorm>(time_embed_dim))),
      input_hint_block(register_module("input_hint_block",
                                       std::make_shared<TypedModuleList<Conv2d>>(/*index_stride=*/2))) {
  if (!with_hint_block) return;
  for (const HintConv& conv : kHintBlock) {
    input_hint_block->push_back(std::make_shared<Conv2d>(Conv2dOptions{
        .in_channels = conv.in_channels, .out_channels = conv.out_channels, .stride = conv.stride}));
  }
}

torch::Tensor ImageTimeEmbedding::forward(const torch::Tensor& image_embeds) const {
  return image_norm->forward(image_proj->forward(image_embeds));
}

torch::Tensor ImageTimeEmbedding::EncodeHint(torch::Tensor hint) const {
  TORCH_CHECK(input_hint_block->size() > 0, "this U-Net takes no hint");
  hint = (*input_hint_block)[0].forward(hint);
  for (size_t i = 1; i < input_hint_block->size(); ++i) {
    hint = (*input_hint_block)[i].forward(SiluOf(std::move(hint)));
  }
  return hint;
}

ImageProjection::ImageProjection(int64_t image_embed_dim, int64_t cross_attention_dim)
    : image_embeds(register_module(
          "image_embeds", std::make_shared<Linear>(image_embed_dim, kImageTokens * cross_attention_dim))),
      norm(register_module("norm", std::make_shared<LayerNorm>(cross_attention_dim))) {}

torch::Tensor ImageProjection::forward(const torch::Tensor& embeds) const {
  return norm->forward(image_embeds->forward(embeds).unflatten(1, {kImageTokens, -1}));
}

UNet2DConditionModel::UNet2DConditionModel(const UNet2DConditionConfig& config)
    : time_features_{.channels = config.block_out_channels[0],
                     .flip_sin_to_cos = config.flip_sin_to_cos,
                     .freq_shift = config.freq_shift} {
  const UNetBlockOptions options = BlockOptions(config);
  const int64_t first = config.block_out_channels.front();
  const int64_t last = config.block_out_channels.back();
  conv_in = register_module("conv_in", MakeConv3x3(config.in_channels, first));
  time_embedding =
      register_module("time_embedding", std::make_shared<TimestepEmbedding>(first, options.temb_channels));
  encoder_hid_proj =
      register_module("encoder_hid_proj",
                      std::make_shared<ImageProjection>(config.encoder_hid_dim, config.cross_attention_dim));
  add_embedding = register_module(
      "add_embedding", std::make_shared<ImageTimeEmbedding>(config.encoder_hid_dim, options.temb_channels,
                                                            config.addition_embed_type == "image_hint"));
  down_blocks = register_module("down_blocks", std::make_shared<TypedModuleList<UNetDownBlock>>());
  AddDownBlocks(config, options);
  mid_block = register_module("mid_block", std::make_shared<UNetMidBlock>(last, options));
  up_blocks = register_module("up_blocks", std::make_shared<TypedModuleList<UNetUpBlock>>());
  AddUpBlocks(config, options);
  conv_norm_out = register_module(
      "conv_norm_out", std::make_shared<GroupNorm>(config.norm_num_groups, first, config.norm_eps));
  conv_out = register_module("conv_out", MakeConv3x3(first, config.out_channels));
  ListLayersInExecutionOrder();
}

void UNet2DConditionModel::AddDownBlocks(const UNet2DConditionConfig& config,
                                         const UNetBlockOptions& options) {
  const auto& channels = config.block_out_channels;
  for (size_t level = 0; level < channels.size(); ++level) {
    UNetDownBlock::Shape shape{
        .in_channels = channels[level == 0 ? 0 : level - 1],
        .out_channels = channels[level],
        .layers = config.layers_per_block,
        .with_attention = config.down_block_types[level] == "SimpleCrossAttnDownBlock2D",
        .with_downsampler = level + 1 < channels.size()};
    down_blocks->push_back(std::make_shared<UNetDownBlock>(shape, options));
  }
}

void UNet2DConditionModel::AddUpBlocks(const UNet2DConditionConfig& config, const UNetBlockOptions& options) {
  const auto& channels = config.block_out_channels;
  const size_t levels = channels.size();
  for (size_t i = 0; i < levels; ++i) {
    const size_t level = levels - 1 - i;
    UNetUpBlock::Shape shape{.in_channels = channels[std::min(level + 1, levels - 1)],
                             .out_channels = channels[level],
                             .skip_channels = {},
                             .with_attention = config.up_block_types[i] == "SimpleCrossAttnUpBlock2D",
                             .with_upsampler = level > 0};
    shape.skip_channels.assign(config.layers_per_block, channels[level]);
    // The first skip of a level, used last, was made at the level above (or by conv_in).
    shape.skip_channels.push_back(channels[level == 0 ? 0 : level - 1]);
    up_blocks->push_back(std::make_shared<UNetUpBlock>(shape, options));
  }
}

void UNet2DConditionModel::ListLayersInExecutionOrder() {
  const auto add_resnets = [this](const TypedModuleList<ResnetBlock2D>& resnets) {
    for (const auto& resnet : resnets) resnets_.push_back(resnet.get());
  };
  const auto add_attentions = [this](const TypedModuleList<AddedKVAttention>& attentions) {
    for (const auto& attention : attentions) attentions_.push_back(attention.get());
  };
  for (const auto& block : *down_blocks) {
    add_resnets(*block->resnets);
    add_resnets(*block->downsamplers);
    add_attentions(*block->attentions);
  }
  add_resnets(*mid_block->resnets);
  add_attentions(*mid_block->attentions);
  for (const auto& block : *up_blocks) {
    add_resnets(*block->resnets);
    add_resnets(*block->upsamplers);
    add_attentions(*block->attentions);
  }
}

UNetContext UNet2DConditionModel::encode_context(const torch::Tensor& image_embeds) const {
  const torch::Tensor tokens = encoder_hid_proj->forward(image_embeds);
  UNetContext context;
  for (const AddedKVAttention* attention : attentions_) {
    context.keys.push_back(attention->add_k_proj->forward(tokens));
    context.values.push_back(attention->add_v_proj->forward(tokens));
  }
  return context;
}

UNetTime UNet2DConditionModel::encode_time(const torch::Tensor& timesteps,
                                           const torch::Tensor& image_embeds) const {
  const torch::Tensor activated =
      SiluOf(EmbedTime(timesteps).unsqueeze(1) + add_embedding->forward(image_embeds).unsqueeze(0));
  UNetTime time;
  for (const ResnetBlock2D* resnet : resnets_) time.scale_shift.push_back(resnet->EncodeTime(activated));
  return time;
}

torch::Tensor UNet2DConditionModel::encode_hint(const torch::Tensor& hint) const {
  return add_embedding->EncodeHint(hint);
}

torch::Tensor UNet2DConditionModel::forward(const torch::Tensor& sample,
                                            const UNetConditions& conditions) const {
  UNetConditionReader reader(conditions);
  torch::Tensor x = conv_in->forward(sample);
  std::vector<torch::Tensor> skips = {x};
  for (const auto& block : *down_blocks) x = block->forward(x, reader, skips);
  x = mid_block->forward(x, reader);
  for (const auto& block : *up_blocks) x = block->forward(x, reader, skips);
  return conv_out->forward(conv_norm_out->ForwardInPlace(std::move(x), {.silu = true}));
}

torch::Tensor UNet2DConditionModel::forward(const torch::Tensor& sample, const torch::Tensor& timesteps,
                                            const torch::Tensor& image_embeds) const {
  const torch::Tensor activated = SiluOf(EmbedTime(timesteps) + add_embedding->forward(image_embeds));
  UNetContext context = encode_context(image_embeds);
  UNetConditions conditions;
  conditions.keys = std::move(context.keys);
  conditions.values = std::move(context.values);
  for (const ResnetBlock2D* resnet : resnets_) {
    conditions.scale_shift.push_back(resnet->EncodeTime(activated));
  }
  return forward(sample, conditions);
}

torch::Tensor UNet2DConditionModel::EmbedTime(const torch::Tensor& timesteps) const {
  return time_embedding->forward(TimestepFeatures(timesteps, time_features_));
}

}  // namespace kandinsky
