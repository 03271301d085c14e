// The layers' promise: the bits of a row depend neither on the rows around it nor on the number of threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

#include "pipeline/models/attention.h"
#include "pipeline/models/elementwise.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/matrix_kernel_variants.h"
#include "pipeline/models/matrix_product.h"
#include "pipeline/models/timestep_embedding.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

bool SameBits(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor left = a.contiguous();
  const torch::Tensor right = b.contiguous();
  return left.sizes() == right.sizes() &&
         std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
}

class RowIndependenceTest : public ::testing::Test {
 protected:
  ~RowIndependenceTest() override { at::set_num_threads(threads_); }

  using Layer = std::function<torch::Tensor(const torch::Tensor&)>;

  // Every row of layer(x) is that of the row alone, and of any number of threads.
  static void ExpectSameRows(const Layer& layer, const torch::Tensor& x) {
    const at::NoGradGuard no_grad;
    at::set_num_threads(1);
    const torch::Tensor expected = layer(x);
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      EXPECT_TRUE(SameBits(layer(x), expected)) << threads << " threads";
      for (int64_t row = 0; row < x.size(0); ++row) {
        EXPECT_TRUE(SameBits(layer(x.narrow(0, row, 1)), expected.narrow(0, row, 1)))
            << "row " << row << " of " << x.sizes() << ", " << threads << " threads";
      }
      EXPECT_TRUE(SameBits(layer(x.narrow(0, 1, 2)), expected.narrow(0, 1, 2)));
    }
  }

 private:
  const int threads_ = at::get_num_threads();
};

TEST_F(RowIndependenceTest, LinearLayers) {
  for (const int64_t in : {1, 7, 8, 64, 300, 777}) {
    for (const int64_t out : {1, 8, 32, 48, 97, 300}) {
      Linear linear(in, out, /*with_bias=*/out % 2 == 0);
      RandomizeParameters(linear, 1);
      ExpectSameRows([&](const torch::Tensor& x) { return linear.forward(x); }, RandomTensor({5, 3, in}, 2));
    }
  }
}

TEST_F(RowIndependenceTest, LinearLayersOfManyRows) {
  Linear linear(40, 36);
  RandomizeParameters(linear, 1);
  ExpectSameRows([&](const torch::Tensor& x) { return linear.forward(x); }, RandomTensor({3, 1100, 40}, 2));
}

TEST_F(RowIndependenceTest, Convolutions) {
  const Conv2dOptions shapes[] = {
      {.in_channels = 4, .out_channels = 24},
      {.in_channels = 20, .out_channels = 20},
      {.in_channels = 16, .out_channels = 48},
      {.in_channels = 24, .out_channels = 8},
      {.in_channels = 24, .out_channels = 8, .stride = 2},
      {.in_channels = 24, .out_channels = 40, .kernel_size = 1, .padding = 0},
      {.in_channels = 3, .out_channels = 24, .kernel_size = 4, .stride = 4, .padding = 0}};
  for (const Conv2dOptions& shape : shapes) {
    Conv2d convolution(shape);
    RandomizeParameters(convolution, 1);
    PrepareForInference(convolution);
    for (const int64_t size : {1, 2, 7, 8, 33}) {
      if (size < shape.kernel_size - 2 * shape.padding) continue;
      ExpectSameRows([&](const torch::Tensor& x) { return convolution.forward(x); },
                     ChannelsLast(RandomTensor({4, shape.in_channels, size, size + 1}, 2)));
    }
  }
}

TEST_F(RowIndependenceTest, LayerNorms) {
  for (const int64_t features : {1, 8, 24, 37, 384, 1000}) {
    LayerNorm norm(features);
    RandomizeParameters(norm, 1);
    ExpectSameRows([&](const torch::Tensor& x) { return norm.forward(x); },
                   RandomTensor({5, 7, features}, 2));
  }
}

TEST_F(RowIndependenceTest, FunctionsOfElements) {
  for (const int64_t features : {1, 8, 24, 37, 1000, 6000}) {
    const torch::Tensor x = RandomTensor({5, 7, features}, 2) * 4;
    ExpectSameRows(GeluOf, x);
    ExpectSameRows(QuickGeluOf, x);
    ExpectSameRows(SineOf, x);
    ExpectSameRows(CosineOf, x);
    ExpectSameRows([](const torch::Tensor& rows) { return SiluOf(rows.clone()); }, x);
  }
}

TEST_F(RowIndependenceTest, TimestepFeatures) {
  ExpectSameRows([](const torch::Tensor& t) { return TimestepFeatures(t, {.channels = 24}); },
                 RandomTensor({7}, 1).abs() * 999);
}

TEST_F(RowIndependenceTest, ScaleAndShift) {
  const torch::Tensor scale_shift = RandomTensor({4, 2 * 20}, 1);
  const torch::Tensor x = ChannelsLast(RandomTensor({4, 20, 5, 7}, 2));
  const at::NoGradGuard no_grad;
  const torch::Tensor together = ScaleShiftOf(x.clone(), scale_shift);
  for (int64_t row = 0; row < 4; ++row) {
    const torch::Tensor alone = ScaleShiftOf(x.narrow(0, row, 1).clone(), scale_shift.narrow(0, row, 1));
    EXPECT_TRUE(SameBits(together.narrow(0, row, 1), alone));
  }
}

struct AttentionShape {
  int64_t heads;
  int64_t queries;
  int64_t keys;
  int64_t depth;
};

constexpr AttentionShape kAttentionShapes[] = {{2, 3, 81, 8},   {1, 1, 1, 8},      {4, 64, 96, 16},
                                               {3, 50, 20, 40}, {1, 300, 311, 32}, {1, 60, 600, 300},
                                               {2, 77, 77, 24}};

TEST_F(RowIndependenceTest, AttentionWithAndWithoutBias) {
  for (const AttentionShape& shape : kAttentionShapes) {
    const int64_t width = shape.heads * shape.depth;
    for (const bool with_bias : {false, true}) {
      const torch::Tensor bias =
          with_bias ? RandomTensor({1, 1, shape.queries, shape.keys}, 4) : torch::Tensor();
      const auto attend = [&](const torch::Tensor& x) {
        const auto part = [&](int64_t first, int64_t count) {
          return SplitHeads(x.narrow(1, first, count), shape.heads);
        };
        return Attention(part(0, shape.queries), part(shape.queries, shape.keys),
                         part(shape.queries + shape.keys, shape.keys), bias);
      };
      ExpectSameRows(attend, RandomTensor({4, shape.queries + 2 * shape.keys, width}, 3));
    }
  }
}

TEST(MatrixProductTest, EqualsDoublePrecision) {
  for (const int64_t rows : {1, 2, 11, 12, 13, 50}) {
    for (const int64_t in : {1, 3, 8, 255, 256, 257, 1000}) {
      for (const int64_t out : {1, 31, 32, 33, 300}) {
        const torch::Tensor x = RandomTensor({rows, in}, 1);
        const torch::Tensor weight = RandomTensor({out, in}, 2);
        const torch::Tensor bias = RandomTensor({out}, 3);
        const torch::Tensor expected =
            at::linear(x.to(at::kDouble), weight.to(at::kDouble), bias.to(at::kDouble));
        const torch::Tensor actual = LinearByRow(x, weight, bias);
        EXPECT_LE(RelativeL2(actual, expected), 1e-6) << rows << " x " << in << " x " << out;
        EXPECT_TRUE(SameBits(LinearByRow(x, weight, {}), LinearByRow(x, weight, at::zeros({out}))));
        const torch::Tensor packed = PackWeights(weight.unsqueeze(0));
        torch::Tensor products = at::empty({1, rows, out});
        MultiplyPacked(x.unsqueeze(0), packed, products);
        EXPECT_TRUE(SameBits(products[0], LinearByRow(x, weight, {})));
      }
    }
  }
}

TEST(MatrixProductTest, TakesAnyStridesAndNoRows) {
  const torch::Tensor x = RandomTensor({4, 6, 5}, 1);
  const torch::Tensor weight = RandomTensor({7, 6}, 2);
  EXPECT_TRUE(SameBits(LinearByRow(x.transpose(1, 2), weight, {}),
                       LinearByRow(x.transpose(1, 2).contiguous(), weight.t().contiguous().t(), {})));
  EXPECT_EQ(LinearByRow(at::empty({0, 6}), weight, {}).sizes(), (at::IntArrayRef{0, 7}));
  EXPECT_THROW(LinearByRow(RandomTensor({2, 5}, 1), weight, {}), c10::Error);
}

TEST(MatrixProductTest, ARowThatIsNotFiniteSpoilsNoOther) {
  torch::Tensor x = RandomTensor({5, 40}, 1);
  x[2][7] = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor result = LinearByRow(x, RandomTensor({33, 40}, 2), {});
  for (int64_t row = 0; row < 5; ++row) {
    EXPECT_EQ(at::isfinite(result[row]).all().item<bool>(), row != 2) << row;
    EXPECT_EQ(at::isnan(result[row]).all().item<bool>(), row == 2) << row;
  }
}

// The first `rows` rows of `base` (or zeros) plus x times the panel, by one kernel.
torch::Tensor MultiplyWith(const MatrixKernels& kernels, const torch::Tensor& x, const torch::Tensor& panel,
                           const torch::Tensor& base) {
  torch::Tensor result = at::empty({x.size(0), kPanelColumns});
  const ConstRows before =
      base.defined() ? ConstRows{base.const_data_ptr<float>(), base.stride(0)} : ConstRows{};
  kernels.multiply[x.size(0) - 1]({.a = {x.const_data_ptr<float>(), x.stride(0)},
                                   .panel = panel.const_data_ptr<float>(),
                                   .depth = x.size(1),
                                   .base = before,
                                   .to = {result.mutable_data_ptr<float>(), kPanelColumns}});
  return result;
}

TEST(MatrixKernelsTest, BothInstructionSetsGiveTheSameBits) {
#ifdef __x86_64__
  if (&BestMatrixKernels() != &kAvx512MatrixKernels) GTEST_SKIP() << "this processor has no AVX-512";
  for (int64_t rows = 1; rows <= kKernelRows; ++rows) {
    for (const int64_t depth : {1, 2, 7, 63, 64, 256}) {
      // A wider matrix, so that rows do not follow each other.
      const torch::Tensor x = RandomTensor({rows, depth + 5}, 1).narrow(1, 0, depth);
      const torch::Tensor panel = RandomTensor({depth, kPanelColumns}, 2);
      const torch::Tensor of_each_row = RandomTensor({rows, kPanelColumns}, 3);
      const torch::Tensor of_all_rows = RandomTensor({1, kPanelColumns}, 4).expand({rows, kPanelColumns});
      for (const torch::Tensor& base : {torch::Tensor(), of_each_row, of_all_rows}) {
        const torch::Tensor wide = MultiplyWith(kAvx512MatrixKernels, x, panel, base);
        EXPECT_TRUE(SameBits(MultiplyWith(kAvx2MatrixKernels, x, panel, base), wide))
            << rows << " x " << depth;
        EXPECT_LE(RelativeL2(MultiplyWith(kPlainMatrixKernels, x, panel, base), wide), 2e-6);
      }
      const torch::Tensor weight = RandomTensor({kPanelColumns, depth}, 5);
      const auto packed = [&](const MatrixKernels& kernels) {
        torch::Tensor result = at::empty({depth, kPanelColumns});
        kernels.transpose({weight.const_data_ptr<float>(), depth}, depth, result.mutable_data_ptr<float>());
        return result;
      };
      for (const MatrixKernels* kernels :
           {&kPlainMatrixKernels, &kAvx2MatrixKernels, &kAvx512MatrixKernels}) {
        EXPECT_TRUE(SameBits(packed(*kernels), weight.t()));
      }
    }
  }
#else
  GTEST_SKIP() << "not an x86 processor";
#endif
}

TEST(AttentionByRowTest, EqualsDoublePrecision) {
  const at::NoGradGuard no_grad;
  for (const AttentionShape& shape : kAttentionShapes) {
    const torch::Tensor query = RandomTensor({2, shape.heads, shape.queries, shape.depth}, 1) * 3;
    const torch::Tensor key = RandomTensor({2, shape.heads, shape.keys, shape.depth}, 2);
    const torch::Tensor value = RandomTensor({2, shape.heads, shape.keys, shape.depth}, 3);
    const torch::Tensor bias = RandomTensor({2, 1, shape.queries, shape.keys}, 4);
    const torch::Tensor expected = at::scaled_dot_product_attention(
        query.to(at::kDouble), key.to(at::kDouble), value.to(at::kDouble), bias.to(at::kDouble));
    const double library = RelativeL2(at::scaled_dot_product_attention(query, key, value, bias), expected);
    EXPECT_LE(RelativeL2(Attention(query, key, value, bias), expected), std::max(1.5 * library, 3e-7))
        << query.sizes();
  }
}

TEST(AttentionByRowTest, BlockedKeysCountNothingAlsoWholeBlocksOfThem) {
  const at::NoGradGuard no_grad;
  const torch::Tensor query = RandomTensor({1, 2, 4, 8}, 1);
  const torch::Tensor key = RandomTensor({1, 2, 700, 8}, 2);
  const torch::Tensor value = RandomTensor({1, 2, 700, 8}, 3);
  for (const int64_t seen : {0, 300, 600}) {
    torch::Tensor bias = at::full({4, 700}, -std::numeric_limits<float>::infinity());
    bias.narrow(1, seen, 50).zero_();
    const torch::Tensor expected = Attention(query, key.narrow(2, seen, 50), value.narrow(2, seen, 50));
    EXPECT_LE(RelativeL2(Attention(query, key, value, bias), expected), 1e-6) << seen;
  }
}

TEST(AttentionByRowTest, WhatIsNotFiniteIsNotHidden) {
  const at::NoGradGuard no_grad;
  torch::Tensor query = RandomTensor({1, 1, 3, 8}, 1);
  query[0][0][1][0] = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor key = RandomTensor({1, 1, 5, 8}, 2);
  const torch::Tensor result = Attention(query, key, key);
  EXPECT_TRUE(at::isnan(result[0][0][1]).all().item<bool>());
  EXPECT_TRUE(at::isfinite(result[0][0][0]).all().item<bool>());
}

}  // namespace
}  // namespace kandinsky
