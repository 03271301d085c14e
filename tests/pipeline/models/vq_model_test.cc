#include "pipeline/models/vq_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/pipeline/models/model_test_support.h"
#include "tests/pipeline/models/parameter_shapes.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

VQModelConfig TinyMovq() {
  VQModelConfig config;
  config.block_out_channels = {32, 64, 32};
  config.down_block_types = {"DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"};
  config.up_block_types = {"AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"};
  config.layers_per_block = 1;
  config.num_vq_embeddings = 8;
  return config;
}

// The published order: enlarge the latents first, then convolve at full size.
torch::Tensor SpatialNormDefinition(const SpatialNorm& norm, const torch::Tensor& x,
                                    const torch::Tensor& latents) {
  const torch::Tensor large = at::upsample_nearest2d(latents, {x.size(2), x.size(3)});
  return norm.norm_layer->forward(x) * norm.conv_y->forward(large) + norm.conv_b->forward(large);
}

TEST(SpatialNormTest, ConvolvingBeforeEnlargingEqualsTheDefinition) {
  SpatialNorm norm(64, 4);
  RandomizeParameters(norm, 1);
  const torch::Tensor latents = RandomTensor({2, 4, 6, 4}, 2);
  const std::vector<std::vector<int64_t>> sizes = {{6, 4}, {12, 8}, {48, 32}, {12, 12}, {9, 7}, {5, 3}};
  for (const auto& size : sizes) {
    const torch::Tensor x = RandomTensor({2, 64, size[0], size[1]}, 3);
    const torch::Tensor expected = SpatialNormDefinition(norm, x, latents);
    EXPECT_LE(RelativeL2(norm.forward(x, latents), expected), 1e-6) << size[0] << " x " << size[1];
    const torch::Tensor actual = norm.forward(ChannelsLast(x), ChannelsLast(latents));
    EXPECT_LE(RelativeL2(actual, expected), 1e-6) << size[0] << " x " << size[1];
    EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast)) << size[0] << " x " << size[1];
  }
}

TEST(VQModelTest, EncodesToAndDecodesFromAGridOfAQuarterOfTheSize) {
  VQModel model(TinyMovq());
  RandomizeParameters(model, 1);
  EXPECT_EQ(TinyMovq().DownsamplingFactor(), 4);
  EXPECT_EQ(model.encode(RandomTensor({2, 3, 24, 16}, 2)).sizes(), (at::IntArrayRef{2, 4, 6, 4}));
  EXPECT_EQ(model.decode(RandomTensor({2, 4, 6, 4}, 3)).sizes(), (at::IntArrayRef{2, 3, 24, 16}));
}

TEST(VQModelTest, RowsAreIndependent) {
  VQModel model(TinyMovq());
  RandomizeParameters(model, 1);
  const torch::Tensor pixels = RandomTensor({3, 3, 16, 16}, 2);
  const torch::Tensor latents = RandomTensor({3, 4, 4, 4}, 3);
  const torch::Tensor encoded = model.encode(pixels);
  const torch::Tensor decoded = model.decode(latents);
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_LE(RelativeL2(model.encode(pixels.narrow(0, row, 1))[0], encoded[row]), 1e-5);
    EXPECT_LE(RelativeL2(model.decode(latents.narrow(0, row, 1))[0], decoded[row]), 1e-5);
  }
}

TEST(VQModelTest, PreparedForInferenceItGivesTheSameAndStaysChannelsLast) {
  VQModel model(TinyMovq());
  RandomizeParameters(model, 1);
  const torch::Tensor pixels = RandomTensor({2, 3, 16, 16}, 2);
  const torch::Tensor latents = RandomTensor({2, 4, 4, 4}, 3);
  const torch::Tensor encoded = model.encode(pixels);
  const torch::Tensor decoded = model.decode(latents);
  PrepareForInference(model);
  EXPECT_LE(RelativeL2(model.encode(ChannelsLast(pixels)), encoded), 1e-5);
  const torch::Tensor actual = model.decode(ChannelsLast(latents));
  EXPECT_LE(RelativeL2(actual, decoded), 1e-5);
  EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(VQModelTest, RecordingGradientsDoesNotChangeTheResult) {
  VQModel model(TinyMovq());
  RandomizeParameters(model, 1);
  const torch::Tensor latents = RandomTensor({1, 4, 4, 4}, 3);
  const torch::Tensor before = latents.clone();
  const torch::Tensor recorded = model.decode(latents);
  c10::InferenceMode inference;
  EXPECT_LE(RelativeL2(model.decode(latents), recorded), 1e-6);
  EXPECT_TRUE(latents.equal(before));
}

TEST(VQModelTest, GradientReachesEveryParameterButTheCodebook) {
  VQModel model(TinyMovq());
  RandomizeParameters(model, 1);
  testing::RequireGradients(model);
  model.decode(model.encode(RandomTensor({2, 3, 16, 16}, 2))).square().sum().backward();
  for (const std::string& name : testing::ParametersWithoutGradient(model)) {
    // A bias of the keys shifts all scores of a query alike, which softmax does not see.
    EXPECT_TRUE(name == "quantize.embedding.weight" || name.ends_with("to_k.bias")) << name;
  }
}

TEST(VQModelTest, WithGroupNormTheDecoderHasNoSpatialNorms) {
  VQModelConfig config = TinyMovq();
  config.norm_type = "group";
  config.norm_num_groups = 16;
  VQModel model(config);
  RandomizeParameters(model, 1);
  const auto shapes = ParameterShapes(model);
  EXPECT_TRUE(std::none_of(shapes.begin(), shapes.end(), [](const auto& shape) {
    return shape.first.find("conv_y") != std::string::npos;
  }));
  EXPECT_TRUE(std::any_of(shapes.begin(), shapes.end(), [](const auto& shape) {
    return shape.first == "decoder.mid_block.attentions.0.group_norm.weight";
  }));
  EXPECT_EQ(model.decode(RandomTensor({1, 4, 4, 4}, 3)).sizes(), (at::IntArrayRef{1, 3, 16, 16}));
}

}  // namespace
}  // namespace kandinsky
