#include "pipeline/simulated/simulated_image.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "imaging/png.h"

namespace kandinsky {
namespace {

TEST(SimulatedImage, FollowsFromSeedAndSize) {
  const Image image = SimulatedImage(7, 128, 64);
  EXPECT_EQ(image.width, 128);
  EXPECT_EQ(image.height, 64);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.pixels.size(), 128u * 64 * 3);
  EXPECT_EQ(SimulatedImage(7, 128, 64).pixels, image.pixels);
  EXPECT_NE(SimulatedImage(8, 128, 64).pixels, image.pixels);
}

TEST(SimulatedImage, IsAsHardToCompressAsARealOne) {
  // Real 512 x 512 images take 300 to 600 KB.
  const absl::StatusOr<std::string> png = EncodePng(SimulatedImage(1, 512, 512));
  ASSERT_TRUE(png.ok()) << png.status();
  EXPECT_GT(png->size(), 300u << 10);
  EXPECT_LT(png->size(), 600u << 10);
}

TEST(SimulatedPreview, FadesInFromGray) {
  const Image gray = SimulatedPreview(7, 16, 8, 0);
  EXPECT_TRUE(
      std::all_of(gray.pixels.begin(), gray.pixels.end(), [](uint8_t value) { return value == 128; }));
  const auto distance = [](const Image& a, const Image& b) {
    int sum = 0;
    for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
    return sum;
  };
  const Image image = SimulatedImage(7, 16, 8);
  const Image half = SimulatedPreview(7, 16, 8, 0.5);
  const Image full = SimulatedPreview(7, 16, 8, 1);
  EXPECT_LT(distance(half, image), distance(gray, image));
  EXPECT_LT(distance(full, image), distance(half, image));
  for (size_t i = 0; i < full.pixels.size(); ++i) EXPECT_LT(image.pixels[i] - full.pixels[i], 16);
}

TEST(SimulatedLatents, LieBetweenMinusOneAndOneAndDiffer) {
  const std::vector<float> values = SimulatedLatents(7, 1000);
  ASSERT_EQ(values.size(), 1000u);
  const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*smallest, -1);
  EXPECT_LT(*smallest, -0.9);
  EXPECT_LE(*largest, 1);
  EXPECT_GT(*largest, 0.9);
  EXPECT_EQ(SimulatedLatents(7, 1000), values);
  EXPECT_NE(SimulatedLatents(8, 1000), values);
}

}  // namespace
}  // namespace kandinsky
