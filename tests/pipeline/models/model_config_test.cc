#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_config.h"
#include "pipeline/models/vq_model.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

// One change that makes a valid configuration unsupported, and what the message must name.
template <typename Config>
struct BadChange {
  std::string key;
  std::string value;
  std::function<void(Config&)> apply;
};

template <typename Config>
void ExpectEachRefused(const std::vector<BadChange<Config>>& changes) {
  ASSERT_TRUE(Config{}.Validate().ok()) << Config{}.Validate();
  for (const auto& change : changes) {
    Config config;
    change.apply(config);
    const absl::Status status = config.Validate();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << change.key;
    EXPECT_THAT(std::string(status.message()), HasSubstr(change.key + " " + change.value));
  }
}

TEST(ModelConfigTest, UNetRefusesWhatItCannotComputeByKeyAndValue) {
  using C = UNet2DConditionConfig;
  ExpectEachRefused<C>({
      {"act_fn", "\"gelu\"", [](C& c) { c.act_fn = "gelu"; }},
      {"addition_embed_type", "\"text_image\"", [](C& c) { c.addition_embed_type = "text_image"; }},
      {"encoder_hid_dim_type", "\"text_image_proj\"",
       [](C& c) { c.encoder_hid_dim_type = "text_image_proj"; }},
      {"mid_block_type", "\"\"", [](C& c) { c.mid_block_type = ""; }},
      {"resnet_time_scale_shift", "\"default\"", [](C& c) { c.resnet_time_scale_shift = "default"; }},
      {"center_input_sample", "true", [](C& c) { c.center_input_sample = true; }},
      {"dual_cross_attention", "true", [](C& c) { c.dual_cross_attention = true; }},
      {"only_cross_attention", "true", [](C& c) { c.only_cross_attention = true; }},
      {"upcast_attention", "true", [](C& c) { c.upcast_attention = true; }},
      {"use_linear_projection", "true", [](C& c) { c.use_linear_projection = true; }},
      {"mid_block_scale_factor", "2", [](C& c) { c.mid_block_scale_factor = 2; }},
      {"conv_in_kernel", "1", [](C& c) { c.conv_in_kernel = 1; }},
      {"conv_out_kernel", "5", [](C& c) { c.conv_out_kernel = 5; }},
      {"in_channels", "0", [](C& c) { c.in_channels = 0; }},
      {"layers_per_block", "-3", [](C& c) { c.layers_per_block = -3; }},
      {"norm_num_groups", "0", [](C& c) { c.norm_num_groups = 0; }},
      {"norm_eps", "0", [](C& c) { c.norm_eps = 0; }},
      {"block_out_channels", "769", [](C& c) { c.block_out_channels[1] = 769; }},
      {"block_out_channels", "800", [](C& c) { c.block_out_channels[1] = 800; }},
      {"down_block_types", "of 3 elements", [](C& c) { c.down_block_types.pop_back(); }},
      {"up_block_types", "\"UpBlock2D\"", [](C& c) { c.up_block_types[0] = "UpBlock2D"; }},
      {"down_block_types", "\"CrossAttnDownBlock2D\"",
       [](C& c) { c.down_block_types[1] = "CrossAttnDownBlock2D"; }},
  });
}

TEST(ModelConfigTest, VQModelRefusesWhatItCannotComputeByKeyAndValue) {
  using C = VQModelConfig;
  ExpectEachRefused<C>({
      {"act_fn", "\"relu\"", [](C& c) { c.act_fn = "relu"; }},
      {"norm_type", "\"batch\"", [](C& c) { c.norm_type = "batch"; }},
      {"lookup_from_codebook", "true", [](C& c) { c.lookup_from_codebook = true; }},
      {"latent_channels", "0", [](C& c) { c.latent_channels = 0; }},
      {"vq_embed_dim", "8", [](C& c) { c.vq_embed_dim = 8; }},
      {"block_out_channels", "48",
       [](C& c) {
         c.block_out_channels[0] = 48;
         c.norm_num_groups = 16;
       }},
      {"down_block_types", "\"DownBlock2D\"", [](C& c) { c.down_block_types[0] = "DownBlock2D"; }},
      {"up_block_types", "of 0 elements", [](C& c) { c.up_block_types.clear(); }},
      {"num_vq_embeddings", "-1", [](C& c) { c.num_vq_embeddings = -1; }},
  });
}

TEST(ModelConfigTest, PriorRefusesWhatItCannotComputeByKeyAndValue) {
  using C = PriorTransformerConfig;
  ExpectEachRefused<C>({
      {"num_layers", "0", [](C& c) { c.num_layers = 0; }},
      {"additional_embeddings", "3", [](C& c) { c.additional_embeddings = 3; }},
      {"embedding_dim", "-768", [](C& c) { c.embedding_dim = -768; }},
      {"time_embed_act_fn", "\"gelu\"", [](C& c) { c.time_embed_act_fn = "gelu"; }},
      {"norm_in_type", "\"layer\"", [](C& c) { c.norm_in_type = "layer"; }},
      {"embedding_proj_norm_type", "\"layer\"", [](C& c) { c.embedding_proj_norm_type = "layer"; }},
      {"encoder_hid_proj_type", "\"\"", [](C& c) { c.encoder_hid_proj_type = ""; }},
      {"added_emb_type", "\"\"", [](C& c) { c.added_emb_type = ""; }},
  });
}

TEST(ModelConfigTest, ClipTextRefusesWhatItCannotComputeByKeyAndValue) {
  using C = ClipTextConfig;
  ExpectEachRefused<C>({
      {"hidden_act", "\"relu\"", [](C& c) { c.hidden_act = "relu"; }},
      {"hidden_size", "500", [](C& c) { c.hidden_size = 500; }},
      {"num_hidden_layers", "0", [](C& c) { c.num_hidden_layers = 0; }},
      {"layer_norm_eps", "-1", [](C& c) { c.layer_norm_eps = -1; }},
      {"vocab_size", "0", [](C& c) { c.vocab_size = 0; }},
      {"eos_token_id", "-1", [](C& c) { c.eos_token_id = -1; }},
  });
}

TEST(ModelConfigTest, ClipVisionRefusesWhatItCannotComputeByKeyAndValue) {
  using C = ClipVisionConfig;
  ExpectEachRefused<C>({
      {"hidden_act", "\"relu\"", [](C& c) { c.hidden_act = "relu"; }},
      {"num_attention_heads", "0", [](C& c) { c.num_attention_heads = 0; }},
      {"image_size", "1000000", [](C& c) { c.image_size = 1000000; }},
      {"patch_size", "225", [](C& c) { c.patch_size = 225; }},
  });
}

}  // namespace
}  // namespace kandinsky
