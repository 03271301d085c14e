#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "pipeline/models/clip_encoder.h"
#include "pipeline/models/layers.h"

namespace kandinsky {

// Published JSON names. Defaults are those of transformers, whose files leave out values that equal them.
struct ClipVisionConfig {
  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;
  int64_t projection_dim = 512;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t num_channels = 3;
  int64_t image_size = 224;  // pixels
  int64_t patch_size = 32;   // pixels
  std::string hidden_act = "quick_gelu";
  double layer_norm_eps = 1e-5;

  // INVALID_ARGUMENT naming the key and the value that is not supported.
  absl::Status Validate() const;
};

// The class token, the patches and their positions ("CLIPVisionEmbeddings").
class ClipVisionEmbeddings : public torch::nn::Module {
 public:
  explicit ClipVisionEmbeddings(const ClipVisionConfig& config);

  // pixel_values [B, num_channels, image_size, image_size] -> [B, 1 + patches, hidden_size].
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  torch::Tensor class_embedding;  // [hidden_size]
  std::shared_ptr<Conv2d> patch_embedding;
  std::shared_ptr<Embedding> position_embedding;
};

// CLIP vision tower with projection ("CLIPVisionModelWithProjection" of transformers).
class ClipVisionModelWithProjection : public torch::nn::Module {
 public:
  // `config` passes Validate().
  explicit ClipVisionModelWithProjection(const ClipVisionConfig& config);

  // pixel_values [B, num_channels, image_size, image_size], normalized -> image_embeds [B, projection_dim],
  // not normalized.
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  std::shared_ptr<torch::nn::Module> vision_model;
  std::shared_ptr<ClipVisionEmbeddings> embeddings;
  std::shared_ptr<LayerNorm> pre_layrnorm;  // the published spelling
  std::shared_ptr<ClipEncoder> encoder;
  std::shared_ptr<LayerNorm> post_layernorm;
  std::shared_ptr<Linear> visual_projection;
};

}  // namespace kandinsky
