#include "imaging/contact_sheet.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kandinsky {
namespace {

using Rgb = std::array<uint8_t, 3>;

Image Plain(int width, int height, Rgb color) {
  Image image = *AllocateImage(width, height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = color[i % 3];
  return image;
}

Rgb PixelAt(const Image& image, int x, int y) {
  const size_t at = static_cast<size_t>(y) * image.row_bytes() + static_cast<size_t>(x) * 3;
  return {image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]};
}

constexpr Rgb kRed = {255, 0, 0};
constexpr Rgb kGreen = {0, 128, 0};
constexpr Rgb kBlue = {0, 0, 255};
constexpr Rgb kWhite = {255, 255, 255};

TEST(ContactSheetTest, ImagesStandInRowsWithWhiteBetweenThem) {
  const auto sheet = MakeContactSheet({Plain(4, 4, kRed), Plain(10, 10, kGreen), Plain(20, 20, kBlue)},
                                      {.columns = 2, .tile = 10, .gap = 2});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(sheet->width, 26);
  EXPECT_EQ(sheet->height, 26);
  EXPECT_EQ(PixelAt(*sheet, 2, 2), kRed);
  EXPECT_EQ(PixelAt(*sheet, 11, 11), kRed);
  EXPECT_EQ(PixelAt(*sheet, 12, 5), kWhite);
  EXPECT_EQ(PixelAt(*sheet, 14, 5), kGreen);
  EXPECT_EQ(PixelAt(*sheet, 5, 14), kBlue);
  EXPECT_EQ(PixelAt(*sheet, 20, 20), kWhite) << "the last row has one image";
  EXPECT_EQ(PixelAt(*sheet, 0, 0), kWhite);
}

TEST(ContactSheetTest, WideImagesAreCenteredAndKeepTheirProportions) {
  const auto sheet = MakeContactSheet({Plain(40, 10, kRed)}, {.columns = 3, .tile = 20, .gap = 0});
  ASSERT_TRUE(sheet.ok()) << sheet.status();
  EXPECT_EQ(sheet->width, 20) << "one image needs one column";
  EXPECT_EQ(PixelAt(*sheet, 0, 6), kWhite);
  EXPECT_EQ(PixelAt(*sheet, 0, 7), kRed);
  EXPECT_EQ(PixelAt(*sheet, 19, 11), kRed);
  EXPECT_EQ(PixelAt(*sheet, 19, 12), kWhite);
}

TEST(ContactSheetTest, WhatCannotBecomeASheetIsRefused) {
  const Image red = Plain(4, 4, kRed);
  EXPECT_EQ(MakeContactSheet({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeContactSheet({*AllocateImage(4, 4, 1)}).status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<ContactSheetOptions> wrong = {{.columns = 0, .tile = 8, .gap = 0},
                                                  {.columns = 1, .tile = 0, .gap = 0},
                                                  {.columns = 1, .tile = 8, .gap = -1},
                                                  {.columns = 2, .tile = kMaxImageSide, .gap = 0}};
  for (const ContactSheetOptions& options : wrong) {
    EXPECT_EQ(MakeContactSheet({red, red}, options).status().code(), absl::StatusCode::kInvalidArgument)
        << options.columns << " " << options.tile << " " << options.gap;
  }
}

}  // namespace
}  // namespace kandinsky
