#include "pipeline/models/unet_2d_condition_config.h"

#include "base/status_macros.h"
#include "pipeline/models/config_check.h"

namespace kandinsky {
namespace {

constexpr char kModel[] = "UNet2DConditionModel";
constexpr size_t kMaxLevels = 8;
constexpr int64_t kMaxSampleSize = 4096;

absl::Status ValidateFixedChoices(const UNet2DConditionConfig& config) {
  return ConfigCheck(kModel)
      .OneOf("act_fn", config.act_fn, {"silu"})
      .OneOf("addition_embed_type", config.addition_embed_type, {"image", "image_hint"})
      .OneOf("encoder_hid_dim_type", config.encoder_hid_dim_type, {"image_proj"})
      .OneOf("mid_block_type", config.mid_block_type, {"UNetMidBlock2DSimpleCrossAttn"})
      .OneOf("resnet_time_scale_shift", config.resnet_time_scale_shift, {"scale_shift"})
      .Equals("center_input_sample", config.center_input_sample, false)
      .Equals("dual_cross_attention", config.dual_cross_attention, false)
      .Equals("only_cross_attention", config.only_cross_attention, false)
      .Equals("upcast_attention", config.upcast_attention, false)
      .Equals("use_linear_projection", config.use_linear_projection, false)
      .Equals("mid_block_scale_factor", config.mid_block_scale_factor, 1.0)
      .InRange("conv_in_kernel", config.conv_in_kernel, 3, 3)
      .InRange("conv_out_kernel", config.conv_out_kernel, 3, 3)
      .status();
}

absl::Status ValidateSizes(const UNet2DConditionConfig& config) {
  return ConfigCheck(kModel)
      .InRange("attention_head_dim", config.attention_head_dim, 1, 1024)
      .InRange("cross_attention_dim", config.cross_attention_dim, 1, 16384)
      .Size("encoder_hid_dim", config.encoder_hid_dim)
      .InRange("in_channels", config.in_channels, 1, 1024)
      .InRange("out_channels", config.out_channels, 1, 1024)
      .InRange("layers_per_block", config.layers_per_block, 1, 64)
      .Epsilon("norm_eps", config.norm_eps)
      .InRange("norm_num_groups", config.norm_num_groups, 1, 1024)
      .InRange("sample_size", config.sample_size, 1, kMaxSampleSize)
      .status();
}

absl::Status ValidateLevels(const UNet2DConditionConfig& config) {
  const auto& channels = config.block_out_channels;
  ConfigCheck check(kModel);
  check.InRange("block_out_channels levels", static_cast<int64_t>(channels.size()), 1, kMaxLevels)
      .Length("down_block_types", config.down_block_types.size(), channels.size())
      .Length("up_block_types", config.up_block_types.size(), channels.size());
  for (const int64_t width : channels) {
    check.InRange("block_out_channels", width, 1, 16384)
        .MultipleOf("block_out_channels", width, "norm_num_groups", config.norm_num_groups)
        .MultipleOf("block_out_channels", width, "attention_head_dim", config.attention_head_dim);
  }
  for (const std::string& type : config.down_block_types) {
    check.OneOf("down_block_types", type, {"ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"});
  }
  for (const std::string& type : config.up_block_types) {
    check.OneOf("up_block_types", type, {"ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"});
  }
  if (!channels.empty()) check.MultipleOf("block_out_channels", channels[0], "pairs of time features", 2);
  return check.status();
}

}  // namespace

absl::Status UNet2DConditionConfig::Validate() const {
  RETURN_IF_ERROR(ValidateFixedChoices(*this));
  RETURN_IF_ERROR(ValidateSizes(*this));
  return ValidateLevels(*this);
}

}  // namespace kandinsky
