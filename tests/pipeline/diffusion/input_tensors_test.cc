#include "pipeline/diffusion/input_tensors.h"

#include <gtest/gtest.h>

#include "pipeline/components/model_configs.h"
#include "pipeline/weights/safetensors.h"
#include "tests/pipeline/kandinsky22/networks/pipeline_test_support.h"

namespace kandinsky {
namespace {

Image Gray(int width, int height, std::vector<uint8_t> pixels) {
  return {width, height, 1, std::move(pixels)};
}

torch::Tensor Cells(const std::vector<std::vector<float>>& rows) {
  std::vector<torch::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(torch::tensor(row));
  return torch::stack(tensors).unsqueeze(0).unsqueeze(0);
}

TEST(InputTensorsTest, PixelsGoFromMinusOneToOneByChannel) {
  const Image image = {2, 1, 3, {0, 51, 255, 255, 102, 0}};
  const torch::Tensor pixels = ToPixels(image);
  ASSERT_EQ(pixels.sizes(), (std::vector<int64_t>{1, 3, 1, 2}));
  const torch::Tensor expected =
      torch::tensor({-1.0f, 1.0f, -0.6f, -0.2f, 1.0f, -1.0f}).reshape({1, 3, 1, 2});
  EXPECT_TRUE(torch::allclose(pixels, expected, 0, 1e-6));
}

TEST(InputTensorsTest, ClipPixelsAreNormalizedByChannel) {
  const Image image = {1, 1, 3, {255, 0, 51}};
  const torch::Tensor pixels =
      ToClipPixels(image, torch::tensor({0.5f, 0.25f, 0.2f}), torch::tensor({0.5f, 0.5f, 0.1f}));
  EXPECT_TRUE(torch::allclose(pixels.flatten(), torch::tensor({1.0f, -0.5f, 0.0f}), 0, 1e-6));
}

TEST(InputTensorsTest, ClipPixelsEqualThoseOfTransformers) {
  const auto goldens = OpenCheckpoint(GoldenDirectory() + "/components.safetensors");
  ASSERT_TRUE(goldens.ok()) << goldens.status();
  const torch::Tensor crops = *(*goldens)->Get("clip_pixels.crops");
  const torch::Tensor expected = *(*goldens)->Get("clip_pixels.pixel_values");
  const ClipProcessorConfig published;
  for (int64_t i = 0; i < crops.size(0); ++i) {
    const torch::Tensor crop = crops[i].contiguous();
    const uint8_t* values = crop.data_ptr<uint8_t>();
    const Image image = {
        static_cast<int>(crop.size(1)), static_cast<int>(crop.size(0)), 3, {values, values + crop.numel()}};
    const torch::Tensor pixels =
        ToClipPixels(image, torch::tensor(published.image_mean), torch::tensor(published.image_std));
    EXPECT_TRUE(torch::allclose(pixels[0], expected[i], 0, 1e-6)) << i;
  }
}

TEST(InputTensorsTest, ABinaryMaskIsCutAtOneHalf) {
  // Two by two cells of one pixel; 127 is kept, 128 repainted, and the growth reaches its six neighbors.
  const torch::Tensor keep = BinaryKeepMask(Gray(4, 1, {0, 127, 0, 128}), 1, 4);
  EXPECT_TRUE(torch::equal(keep, Cells({{1, 1, 0, 0}}))) << keep;
}

TEST(InputTensorsTest, TheRepaintedPartGrowsInSixDirections) {
  std::vector<uint8_t> pixels(25, 0);
  pixels[12] = 255;  // the middle of 5 x 5
  const torch::Tensor keep = BinaryKeepMask(Gray(5, 5, pixels), 5, 5);
  EXPECT_TRUE(torch::equal(
      keep, Cells({{1, 1, 1, 1, 1}, {1, 0, 0, 1, 1}, {1, 0, 0, 0, 1}, {1, 1, 0, 0, 1}, {1, 1, 1, 1, 1}})))
      << keep;
}

TEST(InputTensorsTest, ABinaryMaskTakesTheFirstPixelOfEachCell) {
  std::vector<uint8_t> pixels(4 * 2, 255);
  pixels[0] = 0;
  const torch::Tensor keep = BinaryKeepMask(Gray(4, 2, pixels), 1, 2);
  EXPECT_TRUE(torch::equal(keep, Cells({{0, 0}}))) << keep;  // the kept cell is reached by the growth
  std::fill(pixels.begin(), pixels.end(), uint8_t{0});
  pixels[1] = 255;
  EXPECT_TRUE(torch::equal(BinaryKeepMask(Gray(4, 2, pixels), 1, 2), Cells({{1, 1}})));
}

TEST(InputTensorsTest, ASoftMaskIsTheMeanOfEachCellAndDoesNotGrow) {
  const torch::Tensor keep = SoftKeepMask(Gray(4, 2, {0, 51, 255, 255, 102, 51, 255, 255}), 1, 2);
  EXPECT_TRUE(torch::allclose(keep, Cells({{0.8f, 0.0f}}), 0, 1e-6)) << keep;
}

TEST(InputTensorsTest, MasksOfOneValueKeepOrRepaintEverything) {
  for (const auto mask : {BinaryKeepMask, SoftKeepMask}) {
    EXPECT_TRUE(torch::equal(mask(Gray(4, 4, std::vector<uint8_t>(16, 0)), 2, 2), torch::ones({1, 1, 2, 2})));
    EXPECT_TRUE(
        torch::equal(mask(Gray(4, 4, std::vector<uint8_t>(16, 255)), 2, 2), torch::zeros({1, 1, 2, 2})));
  }
}

}  // namespace
}  // namespace kandinsky
