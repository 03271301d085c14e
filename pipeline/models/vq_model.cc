#include "pipeline/models/vq_model.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {
namespace {

constexpr char kModel[] = "VQModel";
constexpr double kEps = 1e-6;
// SpatialNorm's own, fixed number of groups.
constexpr int64_t kSpatialGroups = 32;
constexpr size_t kMaxLevels = 8;

int64_t EmbedDim(const VQModelConfig& config) {
  return config.vq_embed_dim == 0 ? config.latent_channels : config.vq_embed_dim;
}

// What the decoder's spatial norms read has as many channels as the decoder's input.
AutoencoderNorm::Options DecoderNorm(const VQModelConfig& config) {
  return {.groups = config.norm_num_groups,
          .latent_channels = config.norm_type == "spatial" ? config.latent_channels : 0};
}

absl::Status ValidateLevels(const VQModelConfig& config) {
  const auto& channels = config.block_out_channels;
  ConfigCheck check(kModel);
  check.InRange("block_out_channels levels", static_cast<int64_t>(channels.size()), 1, kMaxLevels)
      .Length("down_block_types", config.down_block_types.size(), channels.size())
      .Length("up_block_types", config.up_block_types.size(), channels.size());
  for (const int64_t width : channels) {
    check.InRange("block_out_channels", width, 1, 16384)
        .MultipleOf("block_out_channels", width, "norm_num_groups", config.norm_num_groups);
    if (config.norm_type == "spatial") {
      check.MultipleOf("block_out_channels", width, "the groups of a spatial norm", kSpatialGroups);
    }
  }
  for (const std::string& type : config.down_block_types) {
    check.OneOf("down_block_types", type, {"DownEncoderBlock2D", "AttnDownEncoderBlock2D"});
  }
  for (const std::string& type : config.up_block_types) {
    check.OneOf("up_block_types", type, {"UpDecoderBlock2D", "AttnUpDecoderBlock2D"});
  }
  return check.status();
}

}  // namespace

absl::Status VQModelConfig::Validate() const {
  ConfigCheck check(kModel);
  check.OneOf("act_fn", act_fn, {"silu"})
      .OneOf("norm_type", norm_type, {"spatial", "group"})
      .Equals("lookup_from_codebook", lookup_from_codebook, false)
      .InRange("in_channels", in_channels, 1, 1024)
      .InRange("out_channels", out_channels, 1, 1024)
      .InRange("latent_channels", latent_channels, 1, 1024)
      .InRange("vq_embed_dim", EmbedDim(*this), 1, 1024)
      .InRange("layers_per_block", layers_per_block, 1, 64)
      .InRange("norm_num_groups", norm_num_groups, 1, 1024)
      .Size("num_vq_embeddings", num_vq_embeddings);
  // The spatial norms are sized by the one and fed with the other.
  if (norm_type == "spatial")
    check.InRange("vq_embed_dim", EmbedDim(*this), latent_channels, latent_channels);
  RETURN_IF_ERROR(check.status());
  return ValidateLevels(*this);
}

VQEncoder::VQEncoder(const VQModelConfig& config) {
  const auto& channels = config.block_out_channels;
  const AutoencoderNorm::Options norm{.groups = config.norm_num_groups};
  conv_in = register_module("conv_in", MakeConv3x3(config.in_channels, channels.front()));
  down_blocks = register_module("down_blocks", std::make_shared<TypedModuleList<AutoencoderBlock>>());
  for (size_t level = 0; level < channels.size(); ++level) {
    const AutoencoderBlock::Shape shape{
        .in_channels = channels[level == 0 ? 0 : level - 1],
        .out_channels = channels[level],
        .layers = config.layers_per_block,
        .with_attention = config.down_block_types[level] == "AttnDownEncoderBlock2D",
        .with_downsampler = level + 1 < channels.size()};
    down_blocks->push_back(std::make_shared<AutoencoderBlock>(shape, norm));
  }
  mid_block = register_module("mid_block", std::make_shared<AutoencoderMidBlock>(
                                               channels.back(), config.mid_block_add_attention, norm));
  conv_norm_out = register_module("conv_norm_out",
                                  std::make_shared<GroupNorm>(config.norm_num_groups, channels.back(), kEps));
  conv_out = register_module("conv_out", MakeConv3x3(channels.back(), config.latent_channels));
}

torch::Tensor VQEncoder::forward(const torch::Tensor& pixels) const {
  const torch::Tensor no_latents;
  torch::Tensor x = conv_in->forward(pixels);
  for (const auto& block : *down_blocks) x = block->forward(x, no_latents);
  x = mid_block->forward(x, no_latents);
  return conv_out->forward(conv_norm_out->ForwardInPlace(std::move(x), {.silu = true}));
}

VQDecoder::VQDecoder(const VQModelConfig& config)
    : conv_in(
          register_module("conv_in", MakeConv3x3(config.latent_channels, config.block_out_channels.back()))),
      mid_block(register_module("mid_block", std::make_shared<AutoencoderMidBlock>(
                                                 config.block_out_channels.back(),
                                                 config.mid_block_add_attention, DecoderNorm(config)))),
      up_blocks(register_module("up_blocks", std::make_shared<TypedModuleList<AutoencoderBlock>>())),
      conv_norm_out(*this, "conv_norm_out", config.block_out_channels.front(), DecoderNorm(config)),
      conv_out(
          register_module("conv_out", MakeConv3x3(config.block_out_channels.front(), config.out_channels))) {
  const auto& channels = config.block_out_channels;
  const size_t levels = channels.size();
  for (size_t i = 0; i < levels; ++i) {
    const size_t level = levels - 1 - i;
    const AutoencoderBlock::Shape shape{.in_channels = channels[std::min(level + 1, levels - 1)],
                                        .out_channels = channels[level],
                                        .layers = config.layers_per_block + 1,
                                        .with_attention = config.up_block_types[i] == "AttnUpDecoderBlock2D",
                                        .with_upsampler = level > 0};
    up_blocks->push_back(std::make_shared<AutoencoderBlock>(shape, DecoderNorm(config)));
  }
}

torch::Tensor VQDecoder::forward(const torch::Tensor& features, const torch::Tensor& latents) const {
  torch::Tensor x = mid_block->forward(conv_in->forward(features), latents);
  for (const auto& block : *up_blocks) x = block->forward(x, latents);
  return conv_out->forward(conv_norm_out.ForwardInPlace(std::move(x), latents, /*silu=*/true));
}

VQModel::VQModel(const VQModelConfig& config)
    : encoder(register_module("encoder", std::make_shared<VQEncoder>(config))),
      quant_conv(register_module("quant_conv", MakeConv1x1(config.latent_channels, EmbedDim(config)))),
      quantize(register_module("quantize", std::make_shared<torch::nn::Module>())),
      embedding(quantize->register_module(
          "embedding", std::make_shared<Embedding>(config.num_vq_embeddings, EmbedDim(config)))),
      post_quant_conv(
          register_module("post_quant_conv", MakeConv1x1(EmbedDim(config), config.latent_channels))),
      decoder(register_module("decoder", std::make_shared<VQDecoder>(config))) {}

torch::Tensor VQModel::encode(const torch::Tensor& pixels) const {
  return quant_conv->forward(encoder->forward(pixels));
}

torch::Tensor VQModel::decode(const torch::Tensor& latents) const {
  return decoder->forward(post_quant_conv->forward(latents), latents);
}

}  // namespace kandinsky
