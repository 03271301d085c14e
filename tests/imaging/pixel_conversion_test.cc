#include "imaging/pixel_conversion.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

// Rows "abc" and "def".
Image Letters() { return Image{3, 2, 1, {'a', 'b', 'c', 'd', 'e', 'f'}}; }

std::string Shown(int orientation) {
  const auto image = ApplyOrientation(Letters(), orientation);
  EXPECT_TRUE(image.ok());
  std::string rows;
  for (size_t i = 0; i < image->pixels.size(); ++i) {
    if (i > 0 && i % static_cast<size_t>(image->width) == 0) rows += "|";
    rows += static_cast<char>(image->pixels[i]);
  }
  return rows;
}

TEST(ApplyOrientationTest, TurnsAndMirrors) {
  EXPECT_EQ(Shown(1), "abc|def");
  EXPECT_EQ(Shown(2), "cba|fed");
  EXPECT_EQ(Shown(3), "fed|cba");
  EXPECT_EQ(Shown(4), "def|abc");
  EXPECT_EQ(Shown(5), "ad|be|cf");
  EXPECT_EQ(Shown(6), "da|eb|fc");
  EXPECT_EQ(Shown(7), "fc|eb|da");
  EXPECT_EQ(Shown(8), "cf|be|ad");
}

TEST(ApplyOrientationTest, KeepsPixelsTogether) {
  const Image image{2, 1, 3, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(ApplyOrientation(image, 2)->pixels, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
  EXPECT_EQ(ApplyOrientation(image, 6)->pixels, image.pixels);
  EXPECT_EQ(ApplyOrientation(image, 6)->height, 2);
}

TEST(ToRgbOverTest, RoundsEveryBlendToNearest) {
  Image image{256, 256, 4, {}};
  for (int alpha = 0; alpha < 256; ++alpha) {
    for (int value = 0; value < 256; ++value) {
      for (const int v : {value, 255 - value, 0, alpha}) image.pixels.push_back(static_cast<uint8_t>(v));
    }
  }
  const auto rgb = ToRgbOver(255, image);
  ASSERT_TRUE(rgb.ok());
  ASSERT_TRUE(CheckImage(*rgb).ok());
  for (size_t i = 0; i < size_t{256} * 256; ++i) {
    const double alpha = image.pixels[4 * i + 3] / 255.0;
    for (size_t c = 0; c < 3; ++c) {
      ASSERT_NEAR(rgb->pixels[3 * i + c], image.pixels[4 * i + c] * alpha + 255 * (1 - alpha), 0.500001) << i;
    }
  }
}

TEST(ToLumaTest, KeepsGrayAndWeighsColors) {
  Image grays{256, 1, 3, {}};
  for (int value = 0; value < 256; ++value)
    grays.pixels.insert(grays.pixels.end(), 3, static_cast<uint8_t>(value));
  const Image luma = ToLuma(grays);
  ASSERT_TRUE(CheckImage(luma).ok());
  for (size_t value = 0; value < 256; ++value) EXPECT_EQ(luma.pixels[value], value);
  EXPECT_EQ(ToLuma(Image{3, 1, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}}).pixels,
            (std::vector<uint8_t>{76, 150, 29}));
}

}  // namespace
}  // namespace kandinsky
