#include "imaging/depth_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "imaging/resize.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::FloatNear;
using ::testing::Ge;
using ::testing::Le;
using ::testing::SizeIs;

DepthMap DepthOf(const Image& gray) {
  DepthMap depth{gray.width, gray.height, {}};
  for (const uint8_t value : gray.pixels) depth.values.push_back(static_cast<float>(value) / 255);
  return depth;
}

TEST(ResizeDepthTest, ReturnsAMapOfTheSameSizeUntouched) {
  const DepthMap depth = DepthOf(NoiseImage(19, 23, 1));
  EXPECT_EQ(ResizeDepth(depth, 19, 23)->values, depth.values);
}

TEST(ResizeDepthTest, GivesWhatBicubicResizingGivesButForTheRoundingToBytes) {
  // Values from 64 to 191: overshoot is cut in neither.
  Image gray = NoiseImage(12, 9, 1);
  for (uint8_t& value : gray.pixels) value = static_cast<uint8_t>(64 + value / 2);
  for (const auto& [width, height] : {std::pair(24, 18), std::pair(12, 36), std::pair(5, 7)}) {
    const auto resized = ResizeDepth(DepthOf(gray), width, height);
    ASSERT_TRUE(resized.ok()) << resized.status();
    EXPECT_EQ(resized->width, width);
    EXPECT_EQ(resized->height, height);
    const Image bytes = *Resize(gray, width, height);
    ASSERT_EQ(resized->values.size(), bytes.pixels.size());
    for (size_t i = 0; i < bytes.pixels.size(); ++i) {
      // Half a step in each of the two passes, of which the second may amplify the first.
      ASSERT_NEAR(resized->values[i] * 255, bytes.pixels[i], 1.3) << i;
    }
  }
}

TEST(ResizeDepthTest, KeepsStepsThatAreFinerThanBytes) {
  const DepthMap depth{8, 8, std::vector<float>(64, 1000 / 65535.0f)};
  EXPECT_THAT(ResizeDepth(depth, 16, 16)->values,
              AllOf(SizeIs(256), Each(FloatNear(1000 / 65535.0f, 1e-6f))));
}

TEST(ResizeDepthTest, CutsOvershoot) {
  DepthMap depth{8, 1, {0, 0, 0, 0, 1, 1, 1, 1}};
  const auto resized = ResizeDepth(depth, 16, 2);
  ASSERT_TRUE(resized.ok()) << resized.status();
  EXPECT_THAT(resized->values, Each(AllOf(Ge(0.0f), Le(1.0f))));
  EXPECT_TRUE(std::is_sorted(resized->values.begin() + 5, resized->values.begin() + 11));
}

}  // namespace
}  // namespace kandinsky
