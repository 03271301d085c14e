#include "pipeline/device/placement.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

TEST(PlacementTest, TensorsAreCopiesOfHostValues) {
  std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const torch::Tensor floats = Placement().Floats(values, {2, 3});
  const std::vector<int64_t> ids = {7, 8};
  const std::vector<uint8_t> mask = {1, 0};
  values[0] = 9;
  EXPECT_TRUE(floats.equal(at::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}).reshape({2, 3})));
  EXPECT_TRUE(Placement().Ids(ids).equal(at::tensor({7, 8}, at::kLong)));
  EXPECT_TRUE(Placement().Mask(mask).equal(at::tensor({1, 0}, at::kInt).to(at::kBool)));
  EXPECT_EQ(Placement().Floats({}, {0}).numel(), 0);
}

TEST(PlacementTest, NoiseIsThatOfTheCpuGenerator) {
  const at::Generator ours = at::detail::createCPUGenerator(5);
  const at::Generator theirs = at::detail::createCPUGenerator(5);
  for (int draw = 0; draw < 2; ++draw) {
    EXPECT_TRUE(Placement().Noise({3, 5}, ours).equal(at::randn({3, 5}, theirs)));
  }
}

TEST(PlacementTest, TensorsSurviveTheWayThereAndBack) {
  const FloatTensor tensor = {{2, 3}, {1, 2, 3, 4, 5, 6}};
  const FloatTensor back = ToFloatTensor(Placement().Floats(tensor).unsqueeze(0));
  EXPECT_EQ(back.shape, tensor.shape);
  EXPECT_EQ(back.values, tensor.values);
}

TEST(PlacementTest, ResultsLoseTheDimensionOfOneRow) {
  const FloatTensor row = ToFloatTensor(at::ones({1, 2, 3}, at::kHalf));
  EXPECT_EQ(row.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(row.values, std::vector<float>(6, 1.0f));
}

TEST(PlacementTest, NamesReadBack) {
  const auto placement = ParsePlacement("cpu", "float32");
  ASSERT_TRUE(placement.ok());
  EXPECT_EQ(placement->device_name(), "cpu");
  EXPECT_EQ(placement->dtype_name(), "float32");
}

TEST(PlacementTest, RefusesWhatTheBuildHasNoKernelsFor) {
  EXPECT_THAT(ParsePlacement("cuda:0", "float32").status().message(), HasSubstr("device must be cpu"));
  EXPECT_THAT(ParsePlacement("cpu", "int4").status().message(), HasSubstr("dtype must be float32"));
}

}  // namespace
}  // namespace kandinsky
