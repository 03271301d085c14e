#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "pipeline/models/layers.h"
#include "pipeline/models/timestep_embedding.h"
#include "pipeline/models/unet_2d_condition_config.h"
#include "pipeline/models/unet_blocks.h"
#include "pipeline/models/unet_conditions.h"

namespace kandinsky {

// Image embedding -> addition to the time embedding ("ImageTimeEmbedding"; with hint block
// "ImageHintTimeEmbedding").
class ImageTimeEmbedding : public torch::nn::Module {
 public:
  ImageTimeEmbedding(int64_t image_embed_dim, int64_t time_embed_dim, bool with_hint_block);

  // [N, image_embed_dim] -> [N, time_embed_dim].
  torch::Tensor forward(const torch::Tensor& image_embeds) const;
  // [N, 3, H, W] in 0..1 -> [N, 4, H / 8, W / 8]. Only with a hint block.
  torch::Tensor EncodeHint(torch::Tensor hint) const;

  std::shared_ptr<Linear> image_proj;
  std::shared_ptr<LayerNorm> image_norm;
  std::shared_ptr<TypedModuleList<Conv2d>> input_hint_block;  // empty without a hint block
};

// Image embedding -> image tokens ("ImageProjection").
class ImageProjection : public torch::nn::Module {
 public:
  ImageProjection(int64_t image_embed_dim, int64_t cross_attention_dim);

  // [N, image_embed_dim] -> [N, 32, cross_attention_dim].
  torch::Tensor forward(const torch::Tensor& embeds) const;

  std::shared_ptr<Linear> image_embeds;
  std::shared_ptr<LayerNorm> norm;
};

// The latent U-Net of Kandinsky 2.2 ("UNet2DConditionModel"). A forward pass is split by what its parts
// depend on: encode_context once per request, encode_time once for a run of steps, forward for every step.
// All methods are const; rows never influence each other.
class UNet2DConditionModel : public torch::nn::Module {
 public:
  // `config` passes Validate().
  explicit UNet2DConditionModel(const UNet2DConditionConfig& config);

  // Keys and values of the image tokens of image_embeds [rows, encoder_hid_dim].
  UNetContext encode_context(const torch::Tensor& image_embeds) const;

  // Scale and shift of all residual blocks for every pair of timesteps [steps] (fractions allowed) and
  // image_embeds [rows, encoder_hid_dim].
  UNetTime encode_time(const torch::Tensor& timesteps, const torch::Tensor& image_embeds) const;

  // Hint images [rows, 3, H, W] in 0..1 -> further input channels [rows, 4, H / 8, W / 8], to be
  // concatenated behind the latents. Only for addition_embed_type "image_hint".
  torch::Tensor encode_hint(const torch::Tensor& hint) const;

  // sample [N, in_channels, h, w] with h and w multiples of UNet2DConditionConfig::SizeMultiple() ->
  // [N, out_channels, h, w]. `conditions` come from AssembleConditions.
  torch::Tensor forward(const torch::Tensor& sample, const UNetConditions& conditions) const;

  // The plain definition with one time-step per row, timesteps [N] and image_embeds [N, encoder_hid_dim]; for
  // training and as the reference of the split.
  torch::Tensor forward(const torch::Tensor& sample, const torch::Tensor& timesteps,
                        const torch::Tensor& image_embeds) const;

  std::shared_ptr<Conv2d> conv_in;
  std::shared_ptr<TimestepEmbedding> time_embedding;
  std::shared_ptr<ImageProjection> encoder_hid_proj;
  std::shared_ptr<ImageTimeEmbedding> add_embedding;
  std::shared_ptr<TypedModuleList<UNetDownBlock>> down_blocks;
  std::shared_ptr<UNetMidBlock> mid_block;
  std::shared_ptr<TypedModuleList<UNetUpBlock>> up_blocks;
  std::shared_ptr<GroupNorm> conv_norm_out;
  std::shared_ptr<Conv2d> conv_out;

 private:
  void AddDownBlocks(const UNet2DConditionConfig& config, const UNetBlockOptions& options);
  void AddUpBlocks(const UNet2DConditionConfig& config, const UNetBlockOptions& options);
  void ListLayersInExecutionOrder();
  torch::Tensor EmbedTime(const torch::Tensor& timesteps) const;

  const TimestepFeatureOptions time_features_;
  // In the order UNetConditionReader hands out their conditions.
  std::vector<const ResnetBlock2D*> resnets_;
  std::vector<const AddedKVAttention*> attentions_;
};

}  // namespace kandinsky
