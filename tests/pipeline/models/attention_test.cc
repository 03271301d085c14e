#include "pipeline/models/attention.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::RandomTensor;
using testing::RelativeL2;

torch::Tensor Definition(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                         const torch::Tensor& bias) {
  torch::Tensor scores =
      at::matmul(query, key.transpose(2, 3)) / std::sqrt(static_cast<double>(query.size(3)));
  if (bias.defined()) scores = scores + bias;
  return at::matmul(at::softmax(scores, 3), value);
}

TEST(AttentionTest, EqualsItsDefinitionWithoutBias) {
  const torch::Tensor query = RandomTensor({2, 3, 5, 8}, 1);
  const torch::Tensor key = RandomTensor({2, 3, 7, 8}, 2);
  const torch::Tensor value = RandomTensor({2, 3, 7, 8}, 3);
  EXPECT_LE(RelativeL2(Attention(query, key, value), Definition(query, key, value, {})), 1e-6);
}

TEST(AttentionTest, AddsABiasThatBroadcastsOverHeads) {
  const torch::Tensor query = RandomTensor({2, 3, 5, 8}, 1);
  const torch::Tensor key = RandomTensor({2, 3, 7, 8}, 2);
  const torch::Tensor value = RandomTensor({2, 3, 7, 8}, 3);
  const torch::Tensor bias = RandomTensor({2, 1, 5, 7}, 4);
  EXPECT_LE(RelativeL2(Attention(query, key, value, bias), Definition(query, key, value, bias)), 1e-6);
  EXPECT_GT(RelativeL2(Attention(query, key, value), Definition(query, key, value, bias)), 1e-2);
}

TEST(AttentionTest, MergingHeadsUndoesSplittingThem) {
  const torch::Tensor x = RandomTensor({2, 5, 24}, 1);
  const torch::Tensor split = SplitHeads(x, 3);
  EXPECT_EQ(split.sizes(), (at::IntArrayRef{2, 3, 5, 8}));
  EXPECT_TRUE(split.select(1, 1).equal(x.narrow(2, 8, 8)));
  EXPECT_TRUE(MergeHeads(split).equal(x));
}

TEST(AttentionTest, CausalBiasBlocksOnlyLaterKeys) {
  const double blocked = -std::numeric_limits<double>::infinity();
  const torch::Tensor bias = CausalBias(3, blocked, torch::empty({1}));
  for (int64_t query = 0; query < 3; ++query) {
    for (int64_t key = 0; key < 3; ++key) {
      EXPECT_EQ(bias[query][key].item<double>(), key > query ? blocked : 0) << query << ", " << key;
    }
  }
}

}  // namespace
}  // namespace kandinsky
