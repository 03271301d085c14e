#include "pipeline/models/resident_weights.h"

#include <gtest/gtest.h>

#include <memory>

#include "pipeline/models/layers.h"
#include "pipeline/models/share_weights.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

int64_t BytesOf(const torch::nn::Module& module) {
  ResidentWeights weights;
  weights.Add(module);
  return weights.bytes();
}

TEST(ResidentWeightsTest, CountsParametersAsTheyAreUsed) {
  const auto linear = std::make_shared<Linear>(4, 8);
  EXPECT_EQ(BytesOf(*linear), (4 * 8 + 8) * 4);
}

TEST(ResidentWeightsTest, CountsATransformedConvolutionInsteadOfItsWeight) {
  const auto convolution = MakeConv3x3(16, 32);
  testing::RandomizeParameters(*convolution, 1);
  EXPECT_EQ(BytesOf(*convolution), (16 * 32 * 9 + 32) * 4);
  PrepareForInference(*convolution);
  EXPECT_EQ(BytesOf(*convolution), (16 * 32 * 16 + 32) * 4);
}

TEST(ResidentWeightsTest, WhatTwoModulesShareCountsOnce) {
  const auto source = std::make_shared<Linear>(4, 8);
  const auto target = std::make_shared<Linear>(4, 8);
  ShareWeights(*source, *target);
  ResidentWeights weights;
  weights.Add(*source);
  weights.Add(*target);
  EXPECT_EQ(weights.bytes(), BytesOf(*source));
  target->weight.set_data(target->weight.clone());
  weights.Add(*target);
  EXPECT_EQ(weights.bytes(), BytesOf(*source) + 4 * 8 * 4);
}

}  // namespace
}  // namespace kandinsky
