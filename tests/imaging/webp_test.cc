#include "imaging/webp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <webp/decode.h>

#include "imaging/encoded_image.h"
#include "imaging/pixel_conversion.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

TEST(EncodeWebpTest, Quality100KeepsEveryPixel) {
  for (const auto& [width, height] : {std::pair{100, 70}, {1, 1}, {17, 1}, {1, 33}}) {
    for (const Image& image : {NoiseImage(width, height, 3), PhotoLikeImage(width, height, 3)}) {
      const auto webp = EncodeWebp(image, 100);
      ASSERT_TRUE(webp.ok()) << webp.status();
      EXPECT_EQ(DecodeImage(*webp)->pixels, image.pixels);
    }
    const Image gray = NoiseImage(width, height, 1);
    EXPECT_EQ(DecodeGray(*EncodeWebp(gray, 100))->pixels, gray.pixels);
  }
}

TEST(EncodeWebpTest, Quality100KeepsInvisiblePixelsToo) {
  Image image = NoiseImage(30, 20, 4);
  for (size_t i = 3; i < 400; i += 4) image.pixels[i] = 0;
  const std::string webp = *EncodeWebp(image, 100);
  std::vector<uint8_t> pixels(image.pixels.size());
  ASSERT_NE(WebPDecodeRGBAInto(reinterpret_cast<const uint8_t*>(webp.data()), webp.size(), pixels.data(),
                               pixels.size(), static_cast<int>(image.row_bytes())),
            nullptr);
  EXPECT_EQ(pixels, image.pixels);
  EXPECT_EQ(DecodeImage(webp)->pixels, ToRgbOver(255, image)->pixels);
}

TEST(EncodeWebpTest, ComesBackCloseToTheOriginal) {
  for (const int channels : {1, 3}) {
    const Image image = PhotoLikeImage(256, 192, channels);
    for (const auto& [quality, least] : {std::pair{50, 30}, {80, 34}, {95, 38}, {99, 38}}) {
      const auto webp = EncodeWebp(image, quality);
      ASSERT_TRUE(webp.ok()) << webp.status();
      const auto decoded = channels == 1 ? DecodeGray(*webp) : DecodeImage(*webp);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_GT(Psnr(*decoded, image), least) << channels << " " << quality;
    }
  }
}

TEST(EncodeWebpTest, SizeGrowsWithQuality) {
  const Image image = PhotoLikeImage(256, 192, 3);
  size_t last = 0;
  for (const int quality : {1, 30, 60, 90, 99, 100}) {
    const size_t size = EncodeWebp(image, quality)->size();
    EXPECT_GT(size, last) << quality;
    last = size;
  }
}

TEST(EncodeWebpTest, WritesTheSameBytesEveryTime) {
  const Image image = NoiseImage(60, 40, 3);
  EXPECT_EQ(*EncodeWebp(image, 80), *EncodeWebp(image, 80));
  EXPECT_EQ(*EncodeWebp(image, 100), *EncodeWebp(image, 100));
}

TEST(EncodeWebpTest, RefusesWhatWebpCannotHold) {
  const Image image = NoiseImage(4, 4, 3);
  for (const int quality : {0, 101, -1}) {
    EXPECT_EQ(EncodeWebp(image, quality).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(EncodeWebp(Image{4, 4, 3, {}}, 80).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeWebp(NoiseImage(16384, 1, 3), 80).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(EncodeWebp(NoiseImage(16383, 1, 3), 80).ok());
}

}  // namespace
}  // namespace kandinsky
