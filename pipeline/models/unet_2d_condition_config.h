#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace kandinsky {

// Configuration of UNet2DConditionModel: the published JSON names with the values of the published 2.2
// decoder. "" stands for null. A plain value.
struct UNet2DConditionConfig {
  std::string act_fn = "silu";
  std::string addition_embed_type = "image";   // "image_hint": the hint latents are further input channels
  int64_t addition_embed_type_num_heads = 64;  // without effect
  int64_t attention_head_dim = 64;
  std::vector<int64_t> block_out_channels = {384, 768, 1152, 1536};
  bool center_input_sample = false;
  int64_t conv_in_kernel = 3;
  int64_t conv_out_kernel = 3;
  int64_t cross_attention_dim = 768;
  std::vector<std::string> down_block_types = {"ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D",
                                               "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"};
  bool dual_cross_attention = false;
  int64_t encoder_hid_dim = 1280;
  std::string encoder_hid_dim_type = "image_proj";
  bool flip_sin_to_cos = true;
  double freq_shift = 0;
  int64_t in_channels = 4;
  int64_t layers_per_block = 3;
  double mid_block_scale_factor = 1;
  std::string mid_block_type = "UNetMidBlock2DSimpleCrossAttn";
  double norm_eps = 1e-5;
  int64_t norm_num_groups = 32;
  bool only_cross_attention = false;
  int64_t out_channels = 8;
  std::string resnet_time_scale_shift = "scale_shift";
  int64_t sample_size = 64;  // latent cells a side of what it was trained with; others run as well
  std::vector<std::string> up_block_types = {"SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D",
                                             "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"};
  bool upcast_attention = false;
  bool use_linear_projection = false;

  // INVALID_ARGUMENT naming the key and the value that is not supported.
  absl::Status Validate() const;

  // Latent height and width must be multiples of this.
  int64_t SizeMultiple() const { return int64_t{1} << (block_out_channels.size() - 1); }
};

}  // namespace kandinsky
