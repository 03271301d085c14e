#pragma once

#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_config.h"

namespace kandinsky::testing {

// Configurations of the published 2.2 networks that differ from the defaults of their structs.

inline UNet2DConditionConfig PublishedInpaint() {
  UNet2DConditionConfig config;
  config.in_channels = 9;
  return config;
}

inline UNet2DConditionConfig PublishedControlnetDepth() {
  UNet2DConditionConfig config;
  config.in_channels = 8;
  config.addition_embed_type = "image_hint";
  return config;
}

inline PriorTransformerConfig PublishedPrior() {
  PriorTransformerConfig config;
  config.embedding_dim = 1280;
  return config;
}

inline ClipTextConfig PublishedClipText() {
  ClipTextConfig config;
  config.hidden_size = 1280;
  config.intermediate_size = 5120;
  config.projection_dim = 1280;
  config.num_hidden_layers = 32;
  config.num_attention_heads = 20;
  config.hidden_act = "gelu";
  config.eos_token_id = 2;
  return config;
}

inline ClipVisionConfig PublishedClipVision() {
  ClipVisionConfig config;
  config.hidden_size = 1664;
  config.intermediate_size = 8192;
  config.projection_dim = 1280;
  config.num_hidden_layers = 48;
  config.num_attention_heads = 16;
  config.patch_size = 14;
  config.hidden_act = "gelu";
  return config;
}

}  // namespace kandinsky::testing
