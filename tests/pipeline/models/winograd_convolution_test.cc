#include "pipeline/models/winograd_convolution.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <utility>

#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomTensor;
using testing::RelativeL2;

torch::Tensor DirectConvolution(const torch::Tensor& x, const torch::Tensor& weight,
                                const torch::Tensor& bias) {
  const torch::Tensor offsets = bias.defined() ? bias.to(at::kDouble) : bias;
  return at::conv2d(x.to(at::kDouble), weight.to(at::kDouble), offsets, {1, 1}, {1, 1});
}

TEST(WinogradConvolutionTest, EqualsDirectConvolutionForEverySizeAndRowCount) {
  const torch::Tensor weight = RandomTensor({8, 12, 3, 3}, 1);
  const torch::Tensor bias = RandomTensor({8}, 2);
  const WinogradWeight transformed = TransformWinogradWeight(weight);
  for (const int64_t rows : {1, 3}) {
    for (const int64_t height : {1, 2, 3, 8}) {
      for (const int64_t width : {1, 2, 7, 10}) {
        const torch::Tensor x = RandomTensor({rows, 12, height, width}, 3);
        const torch::Tensor actual = WinogradConvolution(ChannelsLast(x), transformed, bias);
        EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
        EXPECT_LE(RelativeL2(actual, DirectConvolution(x, weight, bias)), 1e-6) << x.sizes();
      }
    }
  }
}

TEST(WinogradConvolutionTest, TakesWeightsInChannelsLastAndNoBias) {
  const torch::Tensor weight = RandomTensor({8, 12, 3, 3}, 1);
  const torch::Tensor x = RandomTensor({2, 12, 6, 6}, 2);
  const torch::Tensor actual = WinogradConvolution(x, TransformWinogradWeight(ChannelsLast(weight)), {});
  EXPECT_LE(RelativeL2(actual, DirectConvolution(x, weight, {})), 1e-6);
}

// What three taps of a line become, with the taps in the first dimension.
torch::Tensor TransformedLine(const torch::Tensor& taps) {
  return at::stack({taps[0], (taps[0] + taps[1] + taps[2]) / 2, (taps[0] - taps[1] + taps[2]) / 2, taps[2]});
}

TEST(WinogradConvolutionTest, TransformsWeightsInDoublePrecisionAndRoundsOnce) {
  for (const auto& [out_channels, in_channels] : {std::pair{64, 48}, {4, 4}, {36, 20}, {100, 33}}) {
    const torch::Tensor weight = RandomTensor({out_channels, in_channels, 3, 3}, 1);
    const torch::Tensor columns = TransformedLine(weight.to(at::kDouble).permute({2, 3, 1, 0}));
    const torch::Tensor expected = TransformedLine(columns.transpose(0, 1)).transpose(0, 1).flatten(0, 1);
    const torch::Tensor panels = TransformWinogradWeight(weight).panels;
    const torch::Tensor actual = panels.permute({0, 2, 1, 3}).flatten(2);  // [16, in, all columns]
    EXPECT_TRUE(actual.narrow(2, 0, out_channels).equal(expected.to(at::kFloat))) << weight.sizes();
    EXPECT_EQ(actual.narrow(2, out_channels, actual.size(2) - out_channels).abs().sum().item<float>(), 0);
  }
}

TEST(WinogradConvolutionTest, TransformsWeightsOfHalfPrecisionAsTheirFloats) {
  for (const auto& [out_channels, in_channels] : {std::pair{64, 48}, {36, 20}, {100, 33}}) {
    const torch::Tensor weight = RandomTensor({out_channels, in_channels, 3, 3}, 1).to(at::kHalf);
    const torch::Tensor expected = TransformWinogradWeight(weight.to(at::kFloat)).panels;
    EXPECT_TRUE(TransformWinogradWeight(weight).panels.equal(expected)) << weight.sizes();
  }
}

TEST(WinogradConvolutionTest, ChunksOfTilesJoinWithoutASeam) {
  // So wide that 289 tiles are more than a chunk.
  const torch::Tensor weight = RandomTensor({4096, 4, 3, 3}, 1);
  const torch::Tensor bias = RandomTensor({4096}, 2);
  const torch::Tensor x = RandomTensor({1, 4, 34, 34}, 3);
  const torch::Tensor actual = WinogradConvolution(x, TransformWinogradWeight(weight), bias);
  EXPECT_LE(RelativeL2(actual, DirectConvolution(x, weight, bias)), 1e-6);
}

TEST(WinogradConvolutionTest, ARowDoesNotDependOnTheOthers) {
  const WinogradWeight transformed = TransformWinogradWeight(RandomTensor({16, 16, 3, 3}, 1));
  const torch::Tensor x = RandomTensor({5, 16, 6, 6}, 2);
  const torch::Tensor together = WinogradConvolution(x, transformed, {});
  for (int64_t row = 0; row < x.size(0); ++row) {
    const torch::Tensor alone = WinogradConvolution(x.narrow(0, row, 1), transformed, {});
    EXPECT_LE(RelativeL2(together.narrow(0, row, 1), alone), 1e-6);
  }
}

TEST(WinogradConvolutionTest, RefusesWrongChannelsAndGradients) {
  const WinogradWeight transformed = TransformWinogradWeight(RandomTensor({4, 4, 3, 3}, 1));
  EXPECT_THROW(WinogradConvolution(RandomTensor({1, 8, 4, 4}, 2), transformed, {}), c10::Error);
  const torch::Tensor x = RandomTensor({1, 4, 4, 4}, 2).requires_grad_(true);
  EXPECT_THROW(WinogradConvolution(x, transformed, {}), c10::Error);
  const at::NoGradGuard no_grad;
  EXPECT_EQ(WinogradConvolution(x, transformed, {}).sizes(), x.sizes());
}

}  // namespace
}  // namespace kandinsky
