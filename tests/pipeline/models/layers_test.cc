#include "pipeline/models/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "pipeline/models/timestep_embedding.h"
#include "tests/pipeline/models/model_test_support.h"
#include "tests/pipeline/models/parameter_shapes.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

TEST(LayersTest, ParametersNeedNoGradientUntilAsked) {
  Linear linear(2, 3);
  EXPECT_FALSE(linear.weight.requires_grad());
  testing::RequireGradients(linear);
  EXPECT_TRUE(linear.weight.requires_grad());
}

TEST(LayersTest, AListNumbersItsChildrenByItsStride) {
  TypedModuleList<Linear> list(/*index_stride=*/2);
  list.push_back(std::make_shared<Linear>(2, 3));
  list.push_back(std::make_shared<Linear>(3, 4, /*with_bias=*/false));
  const auto shapes = ParameterShapes(list);
  ASSERT_EQ(shapes.size(), 3u);
  EXPECT_EQ(shapes[0].first, "0.weight");
  EXPECT_EQ(shapes[1].first, "0.bias");
  EXPECT_EQ(shapes[2].first, "2.weight");
  EXPECT_EQ(shapes[2].second, (std::vector<int64_t>{4, 3}));
}

TEST(LayersTest, AConvolutionGivesTheSameInBothMemoryFormats) {
  Conv2d conv({.in_channels = 6, .out_channels = 5, .kernel_size = 3, .stride = 2});
  RandomizeParameters(conv, 1);
  const torch::Tensor x = RandomTensor({2, 6, 8, 10}, 2);
  const torch::Tensor expected = conv.forward(x);
  PrepareForInference(conv);
  EXPECT_TRUE(conv.weight.is_contiguous(at::MemoryFormat::ChannelsLast));
  const torch::Tensor actual = conv.forward(ChannelsLast(x));
  EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LE(RelativeL2(actual, expected), 1e-6);
}

TEST(LayersTest, A1x1ConvolutionGivesTheSameInBothMemoryFormats) {
  Conv2d conv({.in_channels = 6, .out_channels = 5, .kernel_size = 1, .padding = 0});
  RandomizeParameters(conv, 1);
  const torch::Tensor x = RandomTensor({2, 6, 3, 7}, 2);
  const torch::Tensor actual = conv.forward(ChannelsLast(x));
  EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LE(RelativeL2(actual, conv.forward(x)), 1e-6);
}

TEST(LayersTest, APrepared3x3ConvolutionGivesTheSameWithoutKeepingTheWeight) {
  const std::shared_ptr<Conv2d> conv = MakeConv3x3(20, 16);
  RandomizeParameters(*conv, 1);
  const torch::Tensor x = RandomTensor({2, 20, 5, 8}, 2);
  const torch::Tensor expected = conv->forward(x);
  for (int times = 0; times < 2; ++times) PrepareForInference(*conv);
  EXPECT_FALSE(conv->weight.defined());
  EXPECT_EQ(conv->parameters().size(), 1u);
  EXPECT_LE(RelativeL2(conv->forward(ChannelsLast(x)), expected), 1e-6);
  EXPECT_LE(RelativeL2(conv->forward(x), expected), 1e-6);
}

TEST(LayersTest, AConvolutionThatNeedsGradientsStaysTrainableWhenPrepared) {
  const std::shared_ptr<Conv2d> conv = MakeConv3x3(16, 16);
  RandomizeParameters(*conv, 1);
  testing::RequireGradients(*conv);
  PrepareForInference(*conv);
  conv->forward(RandomTensor({1, 16, 4, 4}, 2)).sum().backward();
  EXPECT_TRUE(testing::ParametersWithoutGradient(*conv).empty());
}

TEST(LayersTest, ReusesATemporaryOnlyWhenNoGradientIsRecorded) {
  const torch::Tensor x = RandomTensor({3, 4}, 1);
  const torch::Tensor expected = at::silu(x);

  torch::Tensor kept = x.clone();
  EXPECT_TRUE(SiluOf(std::move(kept)).equal(expected));
  EXPECT_TRUE(kept.equal(x));
  EXPECT_TRUE(SumOf(std::move(kept), x).equal(x + x));
  EXPECT_TRUE(kept.equal(x));

  at::NoGradGuard no_grad;
  torch::Tensor reused = x.clone();
  EXPECT_TRUE(SiluOf(std::move(reused)).is_same(reused));
  EXPECT_LE(RelativeL2(reused, expected), 1e-6);
}

TEST(LayersTest, ScaleShiftAddsOneToTheScaleInEveryFormatAndMode) {
  const torch::Tensor x = RandomTensor({2, 6, 3, 5}, 1);
  const torch::Tensor scale_shift = RandomTensor({2, 12}, 2);
  const torch::Tensor scale = scale_shift.narrow(1, 0, 6).view({2, 6, 1, 1});
  const torch::Tensor shift = scale_shift.narrow(1, 6, 6).view({2, 6, 1, 1});
  const torch::Tensor expected = x * (1 + scale) + shift;
  for (const bool with_gradients : {true, false}) {
    at::AutoGradMode mode(with_gradients);
    EXPECT_LE(RelativeL2(ScaleShiftOf(x.clone(), scale_shift), expected), 1e-6);
    const torch::Tensor actual = ScaleShiftOf(ChannelsLast(x), scale_shift);
    EXPECT_LE(RelativeL2(actual, expected), 1e-6);
    EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
  }
}

TEST(TimestepFeaturesTest, PutsCosinesFirstAndAcceptsFractions) {
  const torch::Tensor features =
      TimestepFeatures(torch::tensor({0.0, 908.25}, torch::kDouble), {.channels = 4});
  ASSERT_EQ(features.scalar_type(), torch::kFloat32);
  ASSERT_EQ(features.sizes(), (at::IntArrayRef{2, 4}));
  const double slow = std::exp(-std::log(10000.0) / 2);
  const double expected[2][4] = {
      {1, 1, 0, 0}, {std::cos(908.25), std::cos(908.25 * slow), std::sin(908.25), std::sin(908.25 * slow)}};
  for (int row = 0; row < 2; ++row) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_NEAR(features[row][i].item<double>(), expected[row][i], 1e-5) << row << ", " << i;
    }
  }
}

TEST(TimestepFeaturesTest, CanPutSinesFirst) {
  const torch::Tensor timesteps = torch::tensor({3.5f});
  const torch::Tensor cosines = TimestepFeatures(timesteps, {.channels = 6});
  const torch::Tensor sines = TimestepFeatures(timesteps, {.channels = 6, .flip_sin_to_cos = false});
  EXPECT_TRUE(sines.equal(at::cat({cosines.narrow(1, 3, 3), cosines.narrow(1, 0, 3)}, 1)));
}

}  // namespace
}  // namespace kandinsky
