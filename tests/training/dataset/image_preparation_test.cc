#include "training/dataset/image_preparation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "imaging/png.h"
#include "imaging/resize.h"
#include "tests/training/dataset/dataset_folder.h"

namespace kandinsky::training {
namespace {

using testing::HasSubstr;

// An image that has another color everywhere.
Image Gradient(int width, int height, int channels = 3) {
  Image image = *AllocateImage(width, height, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 37 + i / 251);
  return image;
}

Image Part(const Image& image, const CropBox& box) {
  Image part = *AllocateImage(box.width, box.height, 3);
  for (int y = 0; y < box.height; ++y) {
    for (int i = 0; i < box.width * 3; ++i) {
      part.pixels[static_cast<size_t>(y * box.width * 3 + i)] =
          image.pixels[static_cast<size_t>(((box.top + y) * image.width + box.left) * 3 + i)];
    }
  }
  return part;
}

TrainingSample Sample(const std::string& path, const std::string& source = "t.csv", int line = 0) {
  return {.image_path = path, .captions = {}, .source = source, .line = line};
}

std::tuple<int, int, int, int> Box(int width, int height) {
  const CropBox box = CenterCrop(width, height);
  return {box.left, box.top, box.width, box.height};
}

TEST(CenterCropTest, TakesTheMiddleSquare) {
  EXPECT_EQ(Box(8, 8), std::make_tuple(0, 0, 8, 8));
  EXPECT_EQ(Box(10, 8), std::make_tuple(1, 0, 8, 8));
  EXPECT_EQ(Box(8, 12), std::make_tuple(0, 2, 8, 8));
}

// Computed by Pillow.
TEST(CenterCropTest, RoundsAsPillowDoes) {
  EXPECT_EQ(Box(9, 8), std::make_tuple(0, 0, 8, 8));
  EXPECT_EQ(Box(11, 8), std::make_tuple(2, 0, 8, 8));
  EXPECT_EQ(Box(13, 8), std::make_tuple(2, 0, 8, 8));
  EXPECT_EQ(Box(8, 5), std::make_tuple(2, 0, 4, 5));
  EXPECT_EQ(Box(10, 5), std::make_tuple(2, 0, 6, 5));
  EXPECT_EQ(Box(6, 5), std::make_tuple(0, 0, 6, 5));
  EXPECT_EQ(Box(5, 8), std::make_tuple(0, 2, 5, 4));
  EXPECT_EQ(Box(5, 10), std::make_tuple(0, 2, 5, 6));
  EXPECT_EQ(Box(640, 427), std::make_tuple(106, 0, 428, 427));
  EXPECT_EQ(Box(427, 640), std::make_tuple(0, 106, 427, 428));
  EXPECT_EQ(Box(3, 2), std::make_tuple(0, 0, 2, 2));
}

TEST(CenterCropTest, StaysInsideAndIsNeverEmpty) {
  for (int width = 1; width < 40; ++width) {
    for (int height = 1; height < 40; ++height) {
      const CropBox box = CenterCrop(width, height);
      EXPECT_GE(std::min(box.left, box.top), 0);
      EXPECT_GE(std::min(box.width, box.height), 1);
      EXPECT_LE(box.left + box.width, width);
      EXPECT_LE(box.top + box.height, height);
    }
  }
}

TEST(CropAndResizeTest, CopiesASquareOfTheRightSize) {
  const Image image = Gradient(70, 64);
  const auto square = CropAndResize(image, 64);
  ASSERT_TRUE(square.ok()) << square.status();
  EXPECT_EQ(square->pixels, Part(image, {3, 0, 64, 64}).pixels);
}

TEST(CropAndResizeTest, ResizesWithAReducingGap) {
  for (const auto& [width, height] : {std::pair(300, 200), std::pair(131, 257), std::pair(20, 33)}) {
    const Image image = Gradient(width, height);
    const Image part = Part(image, CenterCrop(width, height));
    const auto square = CropAndResize(image, 32);
    ASSERT_TRUE(square.ok()) << square.status();
    EXPECT_EQ(square->width, 32);
    EXPECT_EQ(square->height, 32);
    EXPECT_EQ(square->pixels, Resize(part, 32, 32, {.reducing_gap = true})->pixels);
  }
}

TEST(CropAndResizeTest, RefusesWhatIsNoRgbImage) {
  EXPECT_EQ(CropAndResize(Gradient(8, 8, 1), 32).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CropAndResize(Image(), 32).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CropAndResize(Gradient(8, 8), 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LoadTrainingImageTest, GivesRgbOfAnyImage) {
  const DatasetFolder folder;
  const Image image = Gradient(9, 7);
  const auto png = EncodePng(image);
  ASSERT_TRUE(png.ok()) << png.status();
  const auto loaded = LoadTrainingImage(Sample(folder.Write("a.png", *png)));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->pixels, image.pixels);
  const auto gray = EncodePng(Gradient(9, 7, 1));
  ASSERT_TRUE(gray.ok()) << gray.status();
  EXPECT_EQ(LoadTrainingImage(Sample(folder.Write("b.jpg", *gray)))->channels, 3);
}

TEST(LoadTrainingImageTest, TransparentIsWhiteInImagesAndFarInDepthMaps) {
  const DatasetFolder folder;
  const Image clear{1, 1, 4, {90, 90, 90, 0}};
  TrainingSample sample = Sample(folder.Write("a.png", *EncodePng(clear)));
  sample.hint_path = sample.image_path;
  EXPECT_EQ(LoadTrainingImage(sample)->pixels, std::vector<uint8_t>(3, 255));
  EXPECT_EQ(LoadTrainingHint(sample)->pixels, std::vector<uint8_t>(3, 0));
}

TEST(LoadTrainingImageTest, NamesImageAndPlaceOfABrokenOne) {
  const DatasetFolder folder;
  const std::string path = folder.Write("a.png", "no image");
  const absl::Status broken = LoadTrainingImage(Sample(path, "set/t.csv", 7)).status();
  EXPECT_EQ(broken.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(broken.message(), HasSubstr(path + " (set/t.csv:7): "));
  const std::string cut = folder.Write("b.png", EncodePng(Gradient(9, 7))->substr(0, 60));
  EXPECT_THAT(LoadTrainingImage(Sample(cut, "b.txt")).status().message(), HasSubstr("b.png (b.txt): "));
}

TEST(LoadTrainingImageTest, SaysThatAImageIsGone) {
  const absl::Status gone = LoadTrainingImage(Sample("/nowhere/a.png", "t.csv", 2)).status();
  EXPECT_EQ(gone.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(gone.message(), HasSubstr("/nowhere/a.png (t.csv:2): "));
}

}  // namespace
}  // namespace kandinsky::training
