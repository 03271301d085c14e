#include "pipeline/models/unet_2d_condition_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "pipeline/hint_size.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

constexpr int64_t kEmbedding = 12;

UNet2DConditionConfig TinyUNet() {
  UNet2DConditionConfig config;
  config.block_out_channels = {16, 24, 32};
  config.down_block_types = {"ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D",
                             "SimpleCrossAttnDownBlock2D"};
  config.up_block_types = {"SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"};
  config.layers_per_block = 2;
  config.norm_num_groups = 8;
  config.attention_head_dim = 8;
  config.cross_attention_dim = 20;
  config.encoder_hid_dim = kEmbedding;
  return config;
}

class UNet2DConditionModelTest : public ::testing::Test {
 protected:
  UNet2DConditionModelTest() : model_(TinyUNet()) { RandomizeParameters(model_, 3); }

  UNet2DConditionModel model_;
  torch::Tensor sample_ = RandomTensor({3, 4, 8, 12}, 1);
  torch::Tensor timesteps_ = torch::tensor({999.0f, 0.0f, 463.75f});
  torch::Tensor image_embeds_ = RandomTensor({3, kEmbedding}, 2);
};

TEST_F(UNet2DConditionModelTest, ReturnsNoiseAndVarianceAtTheSizeOfTheSample) {
  EXPECT_EQ(model_.forward(sample_, timesteps_, image_embeds_).sizes(), (at::IntArrayRef{3, 8, 8, 12}));
}

TEST_F(UNet2DConditionModelTest, ABatchOfRequestsAtTheirOwnStepsEqualsThePlainPath) {
  // Request a has two rows and four steps, request b one row and three.
  const torch::Tensor a_embeds = image_embeds_.narrow(0, 0, 2);
  const torch::Tensor b_embeds = image_embeds_.narrow(0, 2, 1);
  const torch::Tensor a_steps = torch::tensor({901.0f, 601.5f, 301.0f, 1.0f});
  const torch::Tensor b_steps = torch::tensor({999.0f, 500.0f, 20.0f});
  const UNetContext a_context = model_.encode_context(a_embeds);
  const UNetContext b_context = model_.encode_context(b_embeds);
  const UNetTime a_time = model_.encode_time(a_steps, a_embeds);
  const UNetTime b_time = model_.encode_time(b_steps, b_embeds);

  const UNetConditionRows parts[] = {{&a_context, &a_time, 1}, {&b_context, &b_time, 2}};
  const torch::Tensor split = model_.forward(sample_, AssembleConditions(parts));
  const torch::Tensor plain = model_.forward(sample_, torch::tensor({601.5f, 601.5f, 20.0f}), image_embeds_);
  EXPECT_LE(RelativeL2(split, plain), 1e-5);
}

TEST_F(UNet2DConditionModelTest, ASingleRequestEqualsThePlainPathAtEveryStep) {
  const torch::Tensor steps = torch::tensor({901.0f, 601.0f, 301.0f});
  const UNetContext context = model_.encode_context(image_embeds_);
  const UNetTime time = model_.encode_time(steps, image_embeds_);
  for (int64_t step = 0; step < 3; ++step) {
    const UNetConditionRows part{&context, &time, step};
    const torch::Tensor plain = model_.forward(sample_, steps[step].expand({3}), image_embeds_);
    EXPECT_LE(RelativeL2(model_.forward(sample_, AssembleConditions({&part, 1})), plain), 1e-5) << step;
  }
}

TEST_F(UNet2DConditionModelTest, RowsAreIndependent) {
  const torch::Tensor together = model_.forward(sample_, timesteps_, image_embeds_);
  for (int64_t row = 0; row < 3; ++row) {
    const torch::Tensor alone = model_.forward(sample_.narrow(0, row, 1), timesteps_.narrow(0, row, 1),
                                               image_embeds_.narrow(0, row, 1));
    EXPECT_LE(RelativeL2(alone[0], together[row]), 1e-5) << row;
  }
}

TEST_F(UNet2DConditionModelTest, EveryInputHasInfluence) {
  const torch::Tensor base = model_.forward(sample_, timesteps_, image_embeds_);
  EXPECT_GT(RelativeL2(model_.forward(sample_ + 0.5, timesteps_, image_embeds_), base), 1e-3);
  EXPECT_GT(RelativeL2(model_.forward(sample_, timesteps_ + 0.25, image_embeds_), base), 1e-4);
  EXPECT_GT(RelativeL2(model_.forward(sample_, timesteps_, image_embeds_ + 0.5), base), 1e-3);
}

TEST_F(UNet2DConditionModelTest, ContextAloneCarriesTheImageIntoTheAttention) {
  const UNetTime time = model_.encode_time(timesteps_.narrow(0, 0, 1), image_embeds_);
  const UNetContext context = model_.encode_context(image_embeds_);
  const UNetContext other = model_.encode_context(image_embeds_ + 0.5);
  ASSERT_EQ(context.keys.size(), 4u + 1 + 6);
  EXPECT_EQ(context.keys[0].sizes(), (at::IntArrayRef{3, 32, 24}));
  const UNetConditionRows part{&context, &time, 0};
  const UNetConditionRows changed{&other, &time, 0};
  EXPECT_GT(RelativeL2(model_.forward(sample_, AssembleConditions({&changed, 1})),
                       model_.forward(sample_, AssembleConditions({&part, 1}))),
            1e-4);
}

TEST_F(UNet2DConditionModelTest, PreparedForInferenceItGivesTheSameAndStaysChannelsLast) {
  const torch::Tensor expected = model_.forward(sample_, timesteps_, image_embeds_);
  PrepareForInference(model_);
  const torch::Tensor actual = model_.forward(ChannelsLast(sample_), timesteps_, image_embeds_);
  EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LE(RelativeL2(actual, expected), 1e-5);
}

TEST_F(UNet2DConditionModelTest, RecordingGradientsDoesNotChangeTheResult) {
  const torch::Tensor recorded = model_.forward(sample_, timesteps_, image_embeds_);
  const torch::Tensor sample_before = sample_.clone();
  c10::InferenceMode inference;
  EXPECT_LE(RelativeL2(model_.forward(sample_, timesteps_, image_embeds_), recorded), 1e-6);
  EXPECT_TRUE(sample_.equal(sample_before));
}

TEST_F(UNet2DConditionModelTest, GradientReachesEveryParameter) {
  testing::RequireGradients(model_);
  model_.forward(ChannelsLast(sample_), timesteps_, image_embeds_).square().sum().backward();
  EXPECT_EQ(testing::ParametersWithoutGradient(model_), std::vector<std::string>{});
}

TEST_F(UNet2DConditionModelTest, RefusesAHintWithoutAHintBlock) {
  EXPECT_THROW(model_.encode_hint(RandomTensor({1, 3, 64, 96}, 4)), c10::Error);
}

TEST(UNetHintTest, HintLatentsAreFurtherInputChannels) {
  UNet2DConditionConfig config = TinyUNet();
  config.addition_embed_type = "image_hint";
  config.in_channels = 8;
  UNet2DConditionModel model(config);
  RandomizeParameters(model, 3);
  const torch::Tensor image = RandomTensor({1, 3, 8 * kHintScale, 12 * kHintScale}, 4).sigmoid();
  const torch::Tensor hint = model.encode_hint(image);
  ASSERT_EQ(hint.sizes(), (at::IntArrayRef{1, 4, 8, 12}));
  const torch::Tensor input = at::cat({RandomTensor({1, 4, 8, 12}, 5), hint}, 1);
  const torch::Tensor out = model.forward(input, torch::tensor({10.0f}), RandomTensor({1, kEmbedding}, 6));
  EXPECT_EQ(out.sizes(), (at::IntArrayRef{1, 8, 8, 12}));
}

TEST(UNetDtypeTest, ComputesInTheDtypeOfItsWeights) {
  UNet2DConditionModel model(TinyUNet());
  RandomizeParameters(model, 3);
  const torch::Tensor sample = RandomTensor({1, 4, 8, 8}, 1);
  const torch::Tensor embeds = RandomTensor({1, kEmbedding}, 2);
  const torch::Tensor exact = model.forward(sample, torch::tensor({700.0f}), embeds);
  model.to(torch::kBFloat16);
  const torch::Tensor rounded =
      model.forward(sample.to(torch::kBFloat16), torch::tensor({700.0f}), embeds.to(torch::kBFloat16));
  EXPECT_EQ(rounded.scalar_type(), torch::kBFloat16);
  EXPECT_LE(RelativeL2(rounded, exact), 0.1);
}

}  // namespace
}  // namespace kandinsky
