#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "tests/pipeline/models/parameter_shapes.h"
#include "tests/pipeline/models/published_configs.h"

namespace kandinsky {
namespace {

using testing::PublishedClipText;
using testing::PublishedClipVision;
using testing::PublishedControlnetDepth;
using testing::PublishedInpaint;
using testing::PublishedPrior;

using Shape = std::vector<int64_t>;

// Names and shapes of a module, and how many scalars they make.
struct Inventory {
  explicit Inventory(const torch::nn::Module& module) {
    for (auto& [name, shape] : ParameterShapes(module)) {
      int64_t count = 1;
      for (const int64_t size : shape) count *= size;
      scalars += count;
      shapes.emplace(std::move(name), std::move(shape));
    }
  }

  std::map<std::string, Shape> shapes;
  int64_t scalars = 0;
};

void ExpectShapes(const Inventory& inventory, const std::map<std::string, Shape>& expected) {
  for (const auto& [name, shape] : expected) {
    const auto found = inventory.shapes.find(name);
    if (found == inventory.shapes.end()) {
      ADD_FAILURE() << "no parameter " << name;
    } else {
      EXPECT_EQ(found->second, shape) << name;
    }
  }
}

int64_t ResidentBytes() {
  int64_t total = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(PublishedShapesTest, AFullSizeUNetTouchesNoneOfItsFiveGigabytes) {
  const int64_t before = ResidentBytes();
  ASSERT_GT(before, 0);
  const UNet2DConditionModel model{UNet2DConditionConfig{}};
  EXPECT_LT(ResidentBytes() - before, int64_t{100} << 20);
}

TEST(PublishedShapesTest, DecoderUNet) {
  const Inventory unet{UNet2DConditionModel{UNet2DConditionConfig{}}};
  EXPECT_EQ(unet.shapes.size(), 724u);
  EXPECT_EQ(unet.scalars, 1'253'057'288);
  ExpectShapes(unet, {{"conv_in.weight", {384, 4, 3, 3}},
                      {"time_embedding.linear_1.weight", {1536, 384}},
                      {"time_embedding.linear_2.bias", {1536}},
                      {"add_embedding.image_proj.weight", {1536, 1280}},
                      {"add_embedding.image_norm.weight", {1536}},
                      {"encoder_hid_proj.image_embeds.weight", {24576, 1280}},
                      {"encoder_hid_proj.norm.bias", {768}},
                      {"down_blocks.0.resnets.0.norm1.weight", {384}},
                      {"down_blocks.0.downsamplers.0.conv2.weight", {384, 384, 3, 3}},
                      {"down_blocks.1.resnets.0.conv_shortcut.weight", {768, 384, 1, 1}},
                      {"down_blocks.3.attentions.2.add_k_proj.weight", {1536, 768}},
                      {"mid_block.attentions.0.to_out.0.weight", {1536, 1536}},
                      {"mid_block.resnets.1.time_emb_proj.weight", {3072, 1536}},
                      {"up_blocks.0.resnets.3.conv1.weight", {1536, 2688, 3, 3}},
                      {"up_blocks.1.upsamplers.0.norm2.bias", {1152}},
                      {"up_blocks.2.attentions.3.group_norm.weight", {768}},
                      {"up_blocks.3.resnets.0.norm1.weight", {1152}},
                      {"up_blocks.3.resnets.3.conv1.weight", {384, 768, 3, 3}},
                      {"conv_norm_out.weight", {384}},
                      {"conv_out.weight", {8, 384, 3, 3}}});
  EXPECT_FALSE(unet.shapes.contains("down_blocks.3.downsamplers.0.conv1.weight"));
  EXPECT_FALSE(unet.shapes.contains("up_blocks.3.upsamplers.0.conv1.weight"));
  EXPECT_FALSE(unet.shapes.contains("down_blocks.0.attentions.0.to_q.weight"));
}

TEST(PublishedShapesTest, InpaintUNet) {
  const Inventory unet{UNet2DConditionModel{PublishedInpaint()}};
  EXPECT_EQ(unet.shapes.size(), 724u);
  EXPECT_EQ(unet.scalars, 1'253'074'568);
  ExpectShapes(unet, {{"conv_in.weight", {384, 9, 3, 3}}});
}

TEST(PublishedShapesTest, ControlnetDepthUNet) {
  const Inventory unet{UNet2DConditionModel{PublishedControlnetDepth()}};
  EXPECT_EQ(unet.shapes.size(), 740u);
  EXPECT_EQ(unet.scalars, 1'253'429'212);
  ExpectShapes(unet, {{"conv_in.weight", {384, 8, 3, 3}},
                      {"add_embedding.input_hint_block.0.weight", {16, 3, 3, 3}},
                      {"add_embedding.input_hint_block.8.weight", {96, 32, 3, 3}},
                      {"add_embedding.input_hint_block.14.weight", {4, 256, 3, 3}}});
}

TEST(PublishedShapesTest, Movq) {
  const Inventory movq{VQModel{VQModelConfig{}}};
  EXPECT_EQ(movq.shapes.size(), 431u);
  EXPECT_EQ(movq.scalars, 67'832'495);
  ExpectShapes(movq, {{"encoder.conv_in.weight", {128, 3, 3, 3}},
                      {"encoder.down_blocks.1.resnets.0.conv_shortcut.weight", {256, 128, 1, 1}},
                      {"encoder.down_blocks.2.downsamplers.0.conv.weight", {256, 256, 3, 3}},
                      {"encoder.down_blocks.3.attentions.1.group_norm.weight", {512}},
                      {"encoder.conv_out.weight", {4, 512, 3, 3}},
                      {"quant_conv.weight", {4, 4, 1, 1}},
                      {"quantize.embedding.weight", {16384, 4}},
                      {"post_quant_conv.bias", {4}},
                      {"decoder.conv_in.weight", {512, 4, 3, 3}},
                      {"decoder.mid_block.resnets.0.norm1.norm_layer.weight", {512}},
                      {"decoder.up_blocks.0.attentions.2.spatial_norm.conv_y.weight", {512, 4, 1, 1}},
                      {"decoder.up_blocks.0.attentions.2.to_q.weight", {512, 512}},
                      {"decoder.up_blocks.3.resnets.0.conv_shortcut.weight", {128, 256, 1, 1}},
                      {"decoder.up_blocks.2.upsamplers.0.conv.weight", {256, 256, 3, 3}},
                      {"decoder.conv_norm_out.conv_b.bias", {128}},
                      {"decoder.conv_out.weight", {3, 128, 3, 3}}});
  EXPECT_FALSE(movq.shapes.contains("decoder.up_blocks.0.attentions.2.group_norm.weight"));
}

TEST(PublishedShapesTest, Prior) {
  const Inventory prior{PriorTransformer{PublishedPrior()}};
  EXPECT_EQ(prior.shapes.size(), 338u);
  EXPECT_EQ(prior.scalars, 1'026'225'920);
  ExpectShapes(prior, {{"positional_embedding", {1, 81, 2048}},
                       {"prd_embedding", {1, 1, 2048}},
                       {"clip_mean", {1, 1280}},
                       {"clip_std", {1, 1280}},
                       {"proj_in.weight", {2048, 1280}},
                       {"encoder_hidden_states_proj.bias", {2048}},
                       {"transformer_blocks.19.attn1.to_out.0.weight", {2048, 2048}},
                       {"transformer_blocks.0.norm3.weight", {2048}},
                       {"transformer_blocks.7.ff.net.0.proj.weight", {8192, 2048}},
                       {"transformer_blocks.7.ff.net.2.weight", {2048, 8192}},
                       {"norm_out.weight", {2048}},
                       {"proj_to_clip_embeddings.weight", {1280, 2048}}});
}

TEST(PublishedShapesTest, ClipBigGText) {
  const Inventory text{ClipTextModelWithProjection{PublishedClipText()}};
  EXPECT_EQ(text.shapes.size(), 32u * 16 + 5);
  EXPECT_EQ(text.scalars, 694'659'840);
  ExpectShapes(text, {{"text_model.embeddings.token_embedding.weight", {49408, 1280}},
                      {"text_model.embeddings.position_embedding.weight", {77, 1280}},
                      {"text_model.encoder.layers.31.self_attn.out_proj.weight", {1280, 1280}},
                      {"text_model.encoder.layers.0.mlp.fc1.weight", {5120, 1280}},
                      {"text_model.final_layer_norm.bias", {1280}},
                      {"text_projection.weight", {1280, 1280}}});
}

TEST(PublishedShapesTest, ClipBigGVision) {
  const Inventory vision{ClipVisionModelWithProjection{PublishedClipVision()}};
  EXPECT_EQ(vision.shapes.size(), 48u * 16 + 8);
  EXPECT_EQ(vision.scalars, 1'844'907'264);
  ExpectShapes(vision, {{"vision_model.embeddings.class_embedding", {1664}},
                        {"vision_model.embeddings.patch_embedding.weight", {1664, 3, 14, 14}},
                        {"vision_model.embeddings.position_embedding.weight", {257, 1664}},
                        {"vision_model.pre_layrnorm.weight", {1664}},
                        {"vision_model.encoder.layers.47.layer_norm2.weight", {1664}},
                        {"vision_model.post_layernorm.bias", {1664}},
                        {"visual_projection.weight", {1280, 1664}}});
}

}  // namespace
}  // namespace kandinsky
