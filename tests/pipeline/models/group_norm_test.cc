#include "pipeline/models/group_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "pipeline/models/group_norm_kernels.h"
#include "tests/pipeline/models/model_test_support.h"

namespace kandinsky {
namespace {

using testing::ChannelsLast;
using testing::RandomizeParameters;
using testing::RandomTensor;
using testing::RelativeL2;

constexpr int64_t kGroups = 32;
constexpr double kEps = 1e-5;

torch::Tensor Reference(const GroupNorm& norm, const torch::Tensor& x, int64_t groups) {
  return at::group_norm(x.contiguous(), groups, norm.weight.to(x.scalar_type()),
                        norm.bias.to(x.scalar_type()), kEps);
}

// Errors of the kernel and of PyTorch on the default memory format, against double precision.
void ExpectAtMostTwicePyTorchsError(const torch::Tensor& x, int64_t groups) {
  GroupNorm norm(groups, x.size(1), kEps);
  RandomizeParameters(norm, 2);
  const torch::Tensor expected = Reference(norm, x.to(at::kDouble), groups);
  const torch::Tensor pytorch = Reference(norm, x, groups);
  const torch::Tensor actual = norm.forward(ChannelsLast(x));
  EXPECT_TRUE(actual.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LE(RelativeL2(actual, expected), 2 * RelativeL2(pytorch, expected)) << x.sizes();
  const torch::Tensor activated = norm.forward(ChannelsLast(x), {.silu = true});
  const torch::Tensor expected_activated = at::silu(expected);
  EXPECT_LE(RelativeL2(activated, expected_activated), 2 * RelativeL2(at::silu(pytorch), expected_activated))
      << x.sizes();
}

// Channels and the level (halvings of height and width) of every group norm of the U-Nets 2.0, 2.1 and 2.2,
// which have the same widths.
const std::vector<std::pair<int64_t, int>> kUNetNorms = {
    {384, 0},  {768, 0},  {1152, 0}, {384, 1},  {768, 1},  {1152, 1}, {1536, 1}, {1920, 1}, {768, 2},
    {1152, 2}, {1920, 2}, {2304, 2}, {2688, 2}, {1152, 3}, {1536, 3}, {2688, 3}, {3072, 3}};

TEST(GroupNormTest, IsAsExactAsPyTorchOnTheDefaultFormatAtTheShapesOfTheUNets) {
  for (const int64_t latent : {8, 16, 64}) {
    for (const auto& [channels, level] : kUNetNorms) {
      ExpectAtMostTwicePyTorchsError(RandomTensor({1, channels, latent >> level, latent >> level}, 1),
                                     kGroups);
    }
  }
}

TEST(GroupNormTest, IsAsExactAsPyTorchOnTheDefaultFormatAtTheShapesOfTheAutoencoders) {
  for (const int64_t latent : {4, 16}) {
    for (const auto& [channels, scale] : {std::pair{512, 1},
                                          {512, 2},
                                          {512, 4},
                                          {256, 1},
                                          {256, 2},
                                          {256, 4},
                                          {256, 8},
                                          {128, 4},
                                          {128, 8}}) {
      ExpectAtMostTwicePyTorchsError(RandomTensor({1, channels, latent * scale, latent * scale}, 1), kGroups);
    }
  }
  ExpectAtMostTwicePyTorchsError(RandomTensor({1, 128, 384, 384}, 1), kGroups);
}

TEST(GroupNormTest, IsAsExactAsPyTorchOnTheDefaultFormatWithFewValuesPerGroup) {
  for (const auto& [channels, groups, height, width] : {std::tuple{16, 8, 1, 1},
                                                        {64, 32, 1, 1},
                                                        {32, 32, 1, 2},
                                                        {32, 32, 2, 2},
                                                        {24, 12, 2, 1},
                                                        {6, 1, 1, 1}}) {
    ExpectAtMostTwicePyTorchsError(RandomTensor({100, channels, height, width}, 1), groups);
  }
}

TEST(GroupNormTest, StaysExactWhereTheMeanIsMuchLargerThanTheDeviation) {
  const torch::Tensor x = RandomTensor({2, 64, 12, 20}, 1) + 1000;
  GroupNorm norm(kGroups, 64, kEps);
  RandomizeParameters(norm, 2);
  const torch::Tensor expected = Reference(norm, x.to(at::kDouble), kGroups);
  EXPECT_LE(RelativeL2(norm.forward(ChannelsLast(x)), expected), 1e-7);
}

TEST(GroupNormTest, FusesTheScaleAndShiftOfTheTime) {
  const torch::Tensor x = RandomTensor({2, 24, 5, 7}, 1);
  const torch::Tensor scale_shift = RandomTensor({2, 48}, 2);
  GroupNorm norm(12, 24, kEps);
  RandomizeParameters(norm, 3);
  const torch::Tensor exact = scale_shift.to(at::kDouble);
  const torch::Tensor scale = exact.narrow(1, 0, 24).view({2, 24, 1, 1}) + 1;
  const torch::Tensor shift = exact.narrow(1, 24, 24).view({2, 24, 1, 1});
  const torch::Tensor expected = at::silu(Reference(norm, x.to(at::kDouble), 12) * scale + shift);
  for (const torch::Tensor& input : {ChannelsLast(x), x}) {
    const torch::Tensor actual = norm.forward(input, {.scale_shift = scale_shift, .silu = true});
    EXPECT_LE(RelativeL2(actual, expected), 2e-7);
  }
}

TEST(GroupNormTest, FusesScaleAndShiftOfEnlargedPositions) {
  const torch::Tensor x = RandomTensor({2, 24, 6, 8}, 1);
  GroupNorm norm(12, 24, kEps);
  RandomizeParameters(norm, 3);
  // The last does not fit a whole number of times and goes through PyTorch.
  for (const auto& [height, width] : {std::pair{6, 8}, {3, 4}, {2, 8}, {1, 2}, {4, 3}}) {
    const torch::Tensor scale = RandomTensor({2, 24, height, width}, 4);
    const torch::Tensor shift = RandomTensor({2, 24, height, width}, 5);
    const auto enlarged = [](const torch::Tensor& t) {
      return at::upsample_nearest2d(t.to(at::kDouble), {6, 8});
    };
    const torch::Tensor expected = Reference(norm, x.to(at::kDouble), 12) * enlarged(scale) + enlarged(shift);
    for (const torch::Tensor& input : {ChannelsLast(x), x}) {
      const torch::Tensor actual = norm.forward(input, {.position_scale = scale, .position_shift = shift});
      EXPECT_LE(RelativeL2(actual, expected), 2e-7) << height << "x" << width;
    }
  }
}

void ExpectRowsToBeIndependent(int64_t channels, int64_t side) {
  const torch::Tensor x = ChannelsLast(RandomTensor({3, channels, side, side}, 1));
  const torch::Tensor scale_shift = RandomTensor({3, 2 * channels}, 2);
  const torch::Tensor positions = RandomTensor({3, channels, side / 2, side / 2}, 3);
  GroupNorm norm(kGroups, channels, kEps);
  RandomizeParameters(norm, 3);
  const int threads_before = at::get_num_threads();
  at::set_num_threads(1);
  const torch::Tensor timed = norm.forward(x, {.scale_shift = scale_shift, .silu = true});
  const torch::Tensor placed = norm.forward(x, {.position_scale = positions, .position_shift = positions});
  for (const int threads : {1, 2, 3, 5}) {
    at::set_num_threads(threads);
    for (int64_t row = 0; row < 3; ++row) {
      const auto own = [&](const torch::Tensor& t) { return t.narrow(0, row, 1); };
      EXPECT_TRUE(norm.forward(own(x), {.scale_shift = own(scale_shift), .silu = true}).equal(own(timed)));
      EXPECT_TRUE(norm.forward(own(x), {.position_scale = own(positions), .position_shift = own(positions)})
                      .equal(own(placed)));
    }
    EXPECT_TRUE(norm.forward(x, {.scale_shift = scale_shift, .silu = true}).equal(timed));
  }
  at::set_num_threads(threads_before);
}

// Small rows are worked on in blocks of groups, large ones in chunks of pixels.
TEST(GroupNormTest, DependsNeitherOnOtherRowsNorOnTheNumberOfThreads) {
  ExpectRowsToBeIndependent(96, 24);
  ExpectRowsToBeIndependent(64, 112);
}

TEST(GroupNormTest, GivesTheSameBitsInPlaceForSmallAndLargeRows) {
  const at::NoGradGuard no_grad;
  for (const auto& [channels, side] : {std::pair{96, 12}, {64, 112}, {36, 10}}) {
    GroupNorm norm(channels == 36 ? 9 : kGroups, channels, kEps);
    RandomizeParameters(norm, 3);
    const torch::Tensor x = ChannelsLast(RandomTensor({2, channels, side, side}, 1));
    const torch::Tensor positions = RandomTensor({2, channels, side / 2, side / 2}, 2);
    const torch::Tensor scale_shift = RandomTensor({2, 2 * channels}, 3);
    for (const GroupNormEpilogue& epilogue :
         {GroupNormEpilogue{.scale_shift = scale_shift, .silu = true},
          GroupNormEpilogue{.position_scale = positions, .position_shift = positions}}) {
      const torch::Tensor expected = norm.forward(x, epilogue);
      torch::Tensor owned = x.clone();
      const void* memory = owned.const_data_ptr();
      const torch::Tensor actual = norm.ForwardInPlace(std::move(owned), epilogue);
      EXPECT_EQ(actual.const_data_ptr(), memory);
      EXPECT_TRUE(actual.equal(expected)) << x.sizes();
    }
  }
}

TEST(GroupNormTest, RecordsGradientsInEveryFormat) {
  const torch::Tensor x = RandomTensor({2, 8, 4, 4}, 1);
  GroupNorm norm(4, 8, kEps);
  RandomizeParameters(norm, 2);
  const torch::Tensor scale_shift = RandomTensor({2, 16}, 3).requires_grad_(true);
  const auto gradient = [&](const torch::Tensor& input) {
    const torch::Tensor leaf = input.detach().requires_grad_(true);
    norm.forward(leaf, {.scale_shift = scale_shift, .silu = true}).square().sum().backward();
    return leaf.grad();
  };
  const torch::Tensor expected = gradient(x);
  EXPECT_LE(RelativeL2(gradient(ChannelsLast(x)), expected), 1e-5);
  EXPECT_GT(scale_shift.grad().abs().sum().item<double>(), 0);
}

// Every set of loops that this processor can run.
std::vector<const GroupNormKernels*> KernelsOfThisProcessor() {
  std::vector<const GroupNormKernels*> kernels = {&kPortableGroupNormKernels};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    kernels.push_back(&kAvx2GroupNormKernels);
  if (__builtin_cpu_supports("avx512f")) kernels.push_back(&kAvx512GroupNormKernels);
#endif
  return kernels;
}

TEST(GroupNormKernelsTest, EveryInstructionSetAgreesForEveryNumberOfChannels) {
  for (const GroupNormKernels* kernels : KernelsOfThisProcessor()) {
    for (const int64_t channels : {1, 3, 4, 7, 16, 37}) {
      const torch::Tensor x = RandomTensor({11, channels}, 1);
      const PixelRun run{x.const_data_ptr<float>(), channels, 11, channels};
      const torch::Tensor exact = x.to(at::kDouble);
      for (const int64_t groups : {channels, int64_t{1}}) {
        const torch::Tensor moments = at::zeros({groups, 2}, at::kDouble);
        std::vector<double> scratch(static_cast<size_t>(2 * channels));
        kernels->add_moments(run, channels / groups, scratch.data(),
                             reinterpret_cast<Moments*>(moments.mutable_data_ptr<double>()));
        const torch::Tensor values = exact.view({11, groups, channels / groups});
        const auto sum_of = [](const torch::Tensor& t) { return t.sum(at::IntArrayRef({0, 2})); };
        EXPECT_LE(RelativeL2(moments, at::stack({sum_of(values), sum_of(values.square())}, 1)), 1e-14);
      }

      const torch::Tensor coefficients = RandomTensor({3, channels}, 2);
      const float* first = coefficients.const_data_ptr<float>();
      const torch::Tensor y = at::empty_like(x);
      kernels->normalize({.from = run,
                          .to = y.mutable_data_ptr<float>(),
                          .center = first,
                          .scale = first + channels,
                          .shift = first + 2 * channels,
                          .silu = true});
      const torch::Tensor exact_coefficients = coefficients.to(at::kDouble);
      const torch::Tensor expected =
          at::silu((exact - exact_coefficients[0]) * exact_coefficients[1] + exact_coefficients[2]);
      EXPECT_LE(RelativeL2(y, expected), 2e-7) << channels;
    }
  }
}

TEST(GroupNormKernelsTest, TheActivationIsExactOverItsWholeRange) {
  torch::Tensor x =
      at::cat({at::linspace(-120, 120, 4801, at::kFloat), at::linspace(-1, 1, 500, at::kFloat)});
  const torch::Tensor zeros = at::zeros({x.numel()}), ones = at::ones({x.numel()});
  const torch::Tensor expected = at::silu(x.to(at::kDouble));
  for (const GroupNormKernels* kernels : KernelsOfThisProcessor()) {
    const auto silu = [&](const torch::Tensor& values) {
      const int64_t size = values.numel();
      const torch::Tensor y = at::empty_like(values);
      kernels->normalize({.from = {values.const_data_ptr<float>(), size, 1, size},
                          .to = y.mutable_data_ptr<float>(),
                          .center = zeros.const_data_ptr<float>(),
                          .scale = ones.const_data_ptr<float>(),
                          .shift = zeros.const_data_ptr<float>(),
                          .silu = true});
      return y;
    };
    const torch::Tensor error = (silu(x).to(at::kDouble) - expected).abs();
    // Relative where the result is not tiny.
    EXPECT_LE((error / (expected.abs() + 1e-28)).max().item<double>(), 4e-7);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const torch::Tensor special = silu(torch::tensor({kInfinity, std::numeric_limits<float>::quiet_NaN()}));
    EXPECT_EQ(special[0].item<float>(), kInfinity);
    EXPECT_TRUE(special[1].isnan().item<bool>());
  }
}

}  // namespace
}  // namespace kandinsky
