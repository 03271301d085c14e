#include "imaging/paste_back.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "imaging/distance_transform.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Image Mask(int width, int height, const std::vector<int>& values) {
  Image mask{width, height, 1, {}};
  for (const int value : values) mask.pixels.push_back(static_cast<uint8_t>(value));
  return mask;
}

Image Plain(int width, int height, uint8_t value) {
  return Image{width, height, 3, std::vector<uint8_t>(static_cast<size_t>(width * height * 3), value)};
}

// Of a thousand pixels about so many are kept.
Image RandomMask(int width, int height, unsigned seed, unsigned kept_in_a_thousand) {
  std::mt19937 random(seed);
  Image mask{width, height, 1, {}};
  for (int i = 0; i < width * height; ++i)
    mask.pixels.push_back(random() % 1000 < kept_in_a_thousand ? 0 : 255);
  return mask;
}

std::vector<int32_t> DistancesByTrial(const Image& mask, int limit) {
  std::vector<int32_t> distances;
  for (int y = 0; y < mask.height; ++y) {
    for (int x = 0; x < mask.width; ++x) {
      int32_t nearest = limit * limit;
      for (int v = 0; v < mask.height; ++v) {
        for (int u = 0; u < mask.width; ++u) {
          if (mask.pixels[static_cast<size_t>(v * mask.width + u)] >= 128) continue;
          nearest = std::min(nearest, (x - u) * (x - u) + (y - v) * (y - v));
        }
      }
      distances.push_back(nearest);
    }
  }
  return distances;
}

TEST(SquaredDistancesTest, EqualTheNearestOfAllPixels) {
  unsigned seed = 0;
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 40}, {40, 1}, {17, 23}, {31, 30}}) {
    for (const unsigned kept : {0U, 2U, 30U, 500U, 1000U}) {
      for (const int limit : {1, 2, 5, 13, 1000}) {
        const Image mask = RandomMask(width, height, ++seed, kept);
        ASSERT_EQ(SquaredDistances(mask, 128, limit), DistancesByTrial(mask, limit))
            << width << "x" << height << " kept " << kept << " limit " << limit;
      }
    }
  }
}

TEST(PasteBackTest, KeepsTheOriginalByteForByteWhereNothingIsPainted) {
  const Image original = NoiseImage(40, 30, 3);
  const Image painted = PhotoLikeImage(40, 30, 3);
  const Image mask = RandomMask(40, 30, 5, 400);
  for (const int feather : {0, 1, 7, kMaxFeather}) {
    const auto result = PasteBack(painted, original, mask, feather);
    ASSERT_TRUE(result.ok()) << result.status();
    for (size_t i = 0; i < mask.pixels.size(); ++i) {
      if (mask.pixels[i] >= 128) continue;
      for (size_t c = 0; c < 3; ++c) ASSERT_EQ(result->pixels[3 * i + c], original.pixels[3 * i + c]);
    }
  }
}

TEST(PasteBackTest, HasAHardEdgeWithoutFeather) {
  const Image original = NoiseImage(40, 30, 3);
  const Image painted = PhotoLikeImage(40, 30, 3);
  const Image mask = RandomMask(40, 30, 6, 400);
  const Image result = *PasteBack(painted, original, mask, 0);
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    const Image& source = mask.pixels[i] >= 128 ? painted : original;
    for (size_t c = 0; c < 3; ++c) ASSERT_EQ(result.pixels[3 * i + c], source.pixels[3 * i + c]);
  }
}

TEST(PasteBackTest, FadesLinearlyInsideThePaintedSide) {
  const Image mask = Mask(7, 1, {0, 0, 255, 255, 255, 255, 255});
  const Image result = *PasteBack(Plain(7, 1, 200), Plain(7, 1, 100), mask, 3);
  std::vector<int> values;
  for (size_t x = 0; x < 7; ++x) values.push_back(result.pixels[3 * x]);
  EXPECT_EQ(values, (std::vector<int>{100, 100, 125, 150, 175, 200, 200}));
}

TEST(PasteBackTest, FadesWithTheDistanceAcrossCorners) {
  Image mask = Plain(9, 9, 255);
  mask.channels = 1;
  mask.pixels.resize(81);
  mask.pixels[40] = 0;  // the middle
  const Image result = *PasteBack(Plain(9, 9, 240), Plain(9, 9, 0), mask, 3);
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 9; ++x) {
      const double distance = std::hypot(x - 4, y - 4);
      EXPECT_EQ(result.pixels[static_cast<size_t>(3 * (y * 9 + x))],
                std::lround(240 * std::min(distance / 4, 1.0)))
          << x << "," << y;
    }
  }
}

TEST(PasteBackTest, AllPaintedAndNothingPaintedAreTheImagesThemselves) {
  const Image original = NoiseImage(20, 20, 3);
  const Image painted = PhotoLikeImage(20, 20, 3);
  EXPECT_EQ(PasteBack(painted, original, RandomMask(20, 20, 1, 0), 8)->pixels, painted.pixels);
  EXPECT_EQ(PasteBack(painted, original, RandomMask(20, 20, 1, 1000), 8)->pixels, original.pixels);
}

TEST(PasteBackTest, CountsTheBrighterHalfOfTheMaskAsPainted) {
  EXPECT_EQ(PasteBack(Plain(2, 1, 9), Plain(2, 1, 5), Mask(2, 1, {127, 128}), 0)->pixels,
            (std::vector<uint8_t>{5, 5, 5, 9, 9, 9}));
}

TEST(PasteBackTest, NamesBothSizesWhenTheyDiffer) {
  const auto mask = PasteBack(Plain(4, 5, 0), Plain(4, 5, 0), Mask(5, 4, std::vector<int>(20)), 0);
  EXPECT_EQ(mask.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(mask.status().message()),
              AllOf(HasSubstr("mask"), HasSubstr("5x4"), HasSubstr("4x5")));
  const auto original = PasteBack(Plain(4, 5, 0), Plain(4, 4, 0), Mask(4, 5, std::vector<int>(20)), 0);
  EXPECT_THAT(std::string(original.status().message()),
              AllOf(HasSubstr("original"), HasSubstr("4x4"), HasSubstr("4x5")));
}

TEST(PasteBackTest, RefusesArgumentsOutOfRange) {
  const Image image = Plain(2, 2, 0);
  const Image mask = Mask(2, 2, {0, 0, 255, 255});
  const auto refused = [](const absl::StatusOr<Image>& result) {
    return result.status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(PasteBack(image, image, mask, -1)));
  EXPECT_TRUE(refused(PasteBack(image, image, mask, kMaxFeather + 1)));
  EXPECT_TRUE(refused(PasteBack(image, image, image, 0)));  // a mask in color
  EXPECT_TRUE(refused(PasteBack(image, mask, mask, 0)));    // a gray original
  EXPECT_TRUE(refused(PasteBack(Image{2, 2, 3, {}}, image, mask, 0)));
}

}  // namespace
}  // namespace kandinsky
