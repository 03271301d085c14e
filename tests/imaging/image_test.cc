#include "imaging/image.h"

#include <gtest/gtest.h>

#include <limits>

namespace kandinsky {
namespace {

TEST(CheckImageTest, AcceptsFieldsThatAgree) {
  for (const int channels : {1, 3, 4}) {
    EXPECT_TRUE(
        CheckImage(Image{2, 3, channels, std::vector<uint8_t>(static_cast<size_t>(6 * channels))}).ok());
  }
}

TEST(CheckImageTest, RefusesFieldsThatContradictEachOther) {
  constexpr int kMax = std::numeric_limits<int>::max();
  for (const Image& image :
       {Image{}, Image{0, 1, 1, {}}, Image{1, -1, 1, {}}, Image{1, 1, 2, {0, 0}}, Image{1, 1, 3, {0}},
        Image{1, 1, 1, {0, 0}}, Image{kMax, kMax, 4, {}}, Image{1 << 16, 1 << 16, 1, {}}}) {
    EXPECT_EQ(CheckImage(image).code(), absl::StatusCode::kInvalidArgument)
        << image.width << "x" << image.height << "x" << image.channels;
  }
}

TEST(AllocateImageTest, GivesABlackImage) {
  const auto image = AllocateImage(5, 2, 3);
  ASSERT_TRUE(image.ok());
  EXPECT_TRUE(CheckImage(*image).ok());
  EXPECT_EQ(image->pixels, std::vector<uint8_t>(30));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they abort instead
TEST(AllocateImageTest, ReportsThatThereIsNoMemory) {
  constexpr int kMax = std::numeric_limits<int>::max();
  EXPECT_EQ(AllocateImage(kMax, kMax, 1).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(AllocateImage(kMax, kMax, 4).status().code(), absl::StatusCode::kResourceExhausted);
}
#endif

}  // namespace
}  // namespace kandinsky
