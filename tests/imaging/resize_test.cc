#include "imaging/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imaging/resample.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

Image Plain(int width, int height, int channels, uint8_t value) {
  Image image{width, height, channels, {}};
  image.pixels.assign(image.row_bytes() * static_cast<size_t>(height), value);
  return image;
}

TEST(ResizeTest, KeepsPlainColors) {
  for (const int channels : {1, 3}) {
    for (const int value : {0, 1, 127, 254, 255}) {
      for (const bool gap : {false, true}) {
        for (const ResampleFilter filter : {ResampleFilter::kBicubic, ResampleFilter::kLanczos}) {
          const auto resized = Resize(Plain(61, 7, channels, static_cast<uint8_t>(value)), 13, 29,
                                      {.filter = filter, .reducing_gap = gap});
          ASSERT_TRUE(resized.ok());
          ASSERT_TRUE(CheckImage(*resized).ok());
          EXPECT_THAT(resized->pixels, Each(value));
        }
      }
    }
  }
}

TEST(ResizeTest, ReturnsAImageOfTheSameSizeUntouched) {
  for (const int channels : {1, 3, 4}) {
    const Image image = NoiseImage(19, 23, channels);
    EXPECT_EQ(Resize(image, 19, 23, {.filter = ResampleFilter::kLanczos})->pixels, image.pixels);
  }
}

TEST(ResizeTest, TreatsBothAxesAlike) {
  const Image image = NoiseImage(40, 40, 3);
  Image turned = image;
  for (size_t y = 0; y < 40; ++y) {
    for (size_t x = 0; x < 40; ++x) {
      for (size_t c = 0; c < 3; ++c) turned.pixels[(x * 40 + y) * 3 + c] = image.pixels[(y * 40 + x) * 3 + c];
    }
  }
  // One axis alone, so that the order of the passes does not matter.
  const Image wide = *Resize(image, 23, 40);
  const Image high = *Resize(turned, 40, 23);
  for (size_t y = 0; y < 40; ++y) {
    for (size_t x = 0; x < 23; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        ASSERT_EQ(wide.pixels[(y * 23 + x) * 3 + c], high.pixels[(x * 40 + y) * 3 + c]);
      }
    }
  }
}

TEST(ResizeTest, HiddenColorsDoNotBleed) {
  Image image = Plain(8, 1, 4, 255);
  for (size_t x = 0; x < 4; ++x)
    image.pixels[4 * x] = image.pixels[4 * x + 3] = 0;  // invisible cyan, then white
  const auto resized = Resize(image, 4, 1);
  ASSERT_TRUE(resized.ok());
  for (size_t x = 0; x < 4; ++x) {
    if (resized->pixels[4 * x + 3] > 0) {
      EXPECT_EQ(resized->pixels[4 * x], 255) << x;
    }
  }
}

TEST(ResizeTest, RefusesSidesOutOfRange) {
  const Image image = NoiseImage(4, 4, 3);
  for (const auto& [width, height] :
       {std::pair{0, 4}, {4, 0}, {-1, 4}, {4, -1}, {kMaxImageSide + 1, 4}, {4, kMaxImageSide + 1}}) {
    EXPECT_EQ(Resize(image, width, height).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Resize(Plain(kMaxImageSide + 1, 1, 1, 0), 4, 4).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Resize(Image{2, 2, 3, {}}, 4, 4).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ResizeTest, RefusesWhatWouldNeedTooMuchMemory) {
  for (const auto& [from_width, from_height] : {std::pair{4, 4}, {1, kMaxImageSide}, {kMaxImageSide, 1}}) {
    const auto resized = Resize(Plain(from_width, from_height, 3, 0), 10'000, 10'000);
    EXPECT_EQ(resized.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(resized.status().message()), HasSubstr("10000x10000: more than 268435456 bytes"));
  }
}

TEST(ResizeTest, TakesLongNarrowImages) {
  for (const auto& [width, height] : {std::pair{kMaxImageSide, 1}, {1, kMaxImageSide}, {kMaxImageSide, 7}}) {
    for (const bool gap : {false, true}) {
      for (const auto& [to_width, to_height] : {std::pair{64, 64}, {kMaxImageSide, 1}, {1, kMaxImageSide}}) {
        const auto resized = Resize(Plain(width, height, 3, 9), to_width, to_height, {.reducing_gap = gap});
        ASSERT_TRUE(resized.ok()) << resized.status();
        EXPECT_THAT(resized->pixels, Each(9));
      }
    }
  }
}

TEST(CropForClipTest, TakesTheMiddleAndLeavesTheOddPixelAtTheEnd) {
  Image image = Plain(7, 4, 3, 0);  // of 7 columns 1...4 stay
  for (size_t y = 0; y < 4; ++y) {
    for (size_t x = 0; x < 7; ++x) image.pixels[(y * 7 + x) * 3] = static_cast<uint8_t>(x);
  }
  const auto crop = CropForClip(image, 4);
  ASSERT_TRUE(crop.ok());
  ASSERT_TRUE(CheckImage(*crop).ok());
  EXPECT_EQ(crop->width, 4);
  EXPECT_EQ(crop->height, 4);
  for (size_t x = 0; x < 4; ++x) EXPECT_EQ(crop->pixels[3 * x], x + 1);
}

TEST(CropForClipTest, EqualsTheCropOfTheWholeResize) {
  const Image image = NoiseImage(90, 50, 3);
  const Image whole = *Resize(image, 100, 56);  // 56 * 90 / 50 = 100.8
  const Image crop = *CropForClip(image, 56);
  for (size_t y = 0; y < 56; ++y) {
    const auto begin = whole.pixels.begin() + static_cast<std::ptrdiff_t>((y * 100 + 22) * 3);
    EXPECT_TRUE(std::equal(begin, begin + std::ptrdiff_t{56} * 3,
                           crop.pixels.begin() + static_cast<std::ptrdiff_t>(y * 56 * 3)))
        << y;
  }
}

TEST(CropForClipTest, TakesLongNarrowImagesWithoutMakingTheWhole) {
  for (const auto& [width, height] : {std::pair{kMaxImageSide, 1}, {1, kMaxImageSide}}) {
    const auto crop = CropForClip(Plain(width, height, 3, 9), 224);
    ASSERT_TRUE(crop.ok()) << crop.status();
    EXPECT_EQ(crop->pixels.size(), size_t{224} * 224 * 3);
    EXPECT_THAT(crop->pixels, Each(9));
  }
}

TEST(CropForClipTest, RefusesOtherThanRgb) {
  EXPECT_EQ(CropForClip(NoiseImage(4, 4, 1), 2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CropForClip(NoiseImage(4, 4, 4), 2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CropForClip(NoiseImage(4, 4, 3), 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CropForClip(Plain(kMaxImageSide, 1, 3, 0), kMaxImageSide).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ReduceByBlocksTest, AveragesWhatIsThere) {
  const Image image{5, 3, 1, {0, 2, 10, 20, 7, 4, 6, 30, 40, 9, 100, 101, 200, 201, 55}};
  const auto reduced = ReduceByBlocks(image, 2, 2);
  ASSERT_TRUE(reduced.ok());
  EXPECT_EQ(reduced->width, 3);
  EXPECT_EQ(reduced->height, 2);
  EXPECT_EQ(reduced->pixels, (std::vector<uint8_t>{3, 25, 8, 101, 201, 55}));
}

TEST(ReduceByBlocksTest, AveragesBlocksBeyondPillowsArithmetic) {
  const auto reduced = ReduceByBlocks(Plain(5000, 4000, 1, 77), 5000, 4000);
  ASSERT_TRUE(reduced.ok());
  EXPECT_EQ(reduced->pixels, std::vector<uint8_t>{77});
}

}  // namespace
}  // namespace kandinsky
