#include "pipeline/models/clip_vision_model.h"

#include "base/status_macros.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {
namespace {

ClipEncoderOptions EncoderOptions(const ClipVisionConfig& config) {
  return {.hidden_size = config.hidden_size,
          .intermediate_size = config.intermediate_size,
          .num_hidden_layers = config.num_hidden_layers,
          .num_attention_heads = config.num_attention_heads,
          .hidden_act = config.hidden_act,
          .layer_norm_eps = config.layer_norm_eps};
}

Conv2dOptions PatchOptions(const ClipVisionConfig& config) {
  return {.in_channels = config.num_channels,
          .out_channels = config.hidden_size,
          .kernel_size = config.patch_size,
          .stride = config.patch_size,
          .padding = 0,
          .with_bias = false};
}

int64_t PositionCount(const ClipVisionConfig& config) {
  const int64_t side = config.image_size / config.patch_size;
  return side * side + 1;
}

}  // namespace

absl::Status ClipVisionConfig::Validate() const {
  RETURN_IF_ERROR(ValidateClipEncoder("CLIPVisionModelWithProjection", EncoderOptions(*this)));
  return ConfigCheck("CLIPVisionModelWithProjection")
      .Size("projection_dim", projection_dim)
      .InRange("num_channels", num_channels, 1, 16)
      .InRange("image_size", image_size, 1, 4096)
      .InRange("patch_size", patch_size, 1, image_size)
      .status();
}

ClipVisionEmbeddings::ClipVisionEmbeddings(const ClipVisionConfig& config)
    : class_embedding(register_parameter("class_embedding", torch::empty({config.hidden_size}),
                                         /*requires_grad=*/false)),
      patch_embedding(register_module("patch_embedding", std::make_shared<Conv2d>(PatchOptions(config)))),
      position_embedding(register_module(
          "position_embedding", std::make_shared<Embedding>(PositionCount(config), config.hidden_size))) {}

torch::Tensor ClipVisionEmbeddings::forward(const torch::Tensor& pixel_values) const {
  const torch::Tensor pixels = pixel_values.to(patch_embedding->weight.scalar_type());
  const torch::Tensor patches = patch_embedding->forward(pixels).flatten(2).transpose(1, 2);
  const torch::Tensor class_token = class_embedding.expand({pixels.size(0), 1, -1});
  return at::cat({class_token, patches}, 1) + position_embedding->weight;
}

ClipVisionModelWithProjection::ClipVisionModelWithProjection(const ClipVisionConfig& config)
    : vision_model(register_module("vision_model", std::make_shared<torch::nn::Module>())),
      embeddings(vision_model->register_module("embeddings", std::make_shared<ClipVisionEmbeddings>(config))),
      pre_layrnorm(vision_model->register_module(
          "pre_layrnorm", std::make_shared<LayerNorm>(config.hidden_size, config.layer_norm_eps))),
      encoder(
          vision_model->register_module("encoder", std::make_shared<ClipEncoder>(EncoderOptions(config)))),
      post_layernorm(vision_model->register_module(
          "post_layernorm", std::make_shared<LayerNorm>(config.hidden_size, config.layer_norm_eps))),
      visual_projection(register_module("visual_projection",
                                        std::make_shared<Linear>(config.hidden_size, config.projection_dim,
                                                                 /*with_bias=*/false))) {}

torch::Tensor ClipVisionModelWithProjection::forward(const torch::Tensor& pixel_values) const {
  const torch::Tensor hidden = encoder->forward(pre_layrnorm->forward(embeddings->forward(pixel_values)));
  return visual_projection->forward(post_layernorm->forward(hidden.select(1, 0)));
}

}  // namespace kandinsky
