#include <gtest/gtest.h>

#include <cmath>

#include "imaging/pixel_conversion.h"
#include "imaging/resize.h"
#include "tests/imaging/golden_file.h"

namespace kandinsky {
namespace {

// As Pillow's convert("RGB"): alpha is dropped.
Image WithoutAlpha(const Image& image) {
  Image rgb{image.width, image.height, 3, {}};
  for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels)) {
    for (size_t c = 0; c < 3; ++c) rgb.pixels.push_back(image.pixels[i + (image.channels == 1 ? 0 : c)]);
  }
  return rgb;
}

ResampleFilter FilterOf(const nlohmann::json& golden) {
  return golden.at("filter") == "lanczos" ? ResampleFilter::kLanczos : ResampleFilter::kBicubic;
}

// The recordings of Pillow 10.4.
class RecordedResizeTest : public ::testing::Test {
 protected:
  // Calls `check` for every case of `kind`; there must be `count` of them.
  template <typename Check>
  void ForEach(const std::string& kind, int count, Check check) {
    for (const nlohmann::json& golden : cases_) {
      if (golden.at("kind") != kind) continue;
      --count;
      const std::string name = golden.at("case");
      SCOPED_TRACE(name);
      check(name, golden);
    }
    EXPECT_EQ(count, 0);
  }

  const GoldenFile tensors_{"resize/resize"};
  const nlohmann::json cases_ = GoldenCases("resize/cases");
};

TEST_F(RecordedResizeTest, PicturesArePreparedAsTheReferenceDoes) {
  ForEach("reference_prepare_image", 10, [&](const std::string& name, const nlohmann::json& golden) {
    // Pillow resizes palette pictures with nearest neighbour; here none reaches Resize with its palette.
    if (golden.at("input_mode") == "P") return;
    const Image in = tensors_.Picture(name + ".in");
    const Image expected = tensors_.Picture(name + ".resized_u8");
    const auto resized = Resize(in, expected.width, expected.height, {.reducing_gap = true});
    ASSERT_TRUE(resized.ok()) << resized.status();
    EXPECT_EQ(LargestDifference(WithoutAlpha(*resized), expected), 0);
  });
}

TEST_F(RecordedResizeTest, PlainResizesEqualPillows) {
  ForEach("resize", 8, [&](const std::string& name, const nlohmann::json& golden) {
    const Image expected = tensors_.Picture(name + ".resized_u8");
    const auto resized =
        Resize(tensors_.Picture(name + ".in"), expected.width, expected.height, {.filter = FilterOf(golden)});
    ASSERT_TRUE(resized.ok()) << resized.status();
    EXPECT_EQ(LargestDifference(*resized, expected), 0);
  });
}

TEST_F(RecordedResizeTest, ClipCropsEqualTransformers) {
  ForEach("clip_preprocess", 6, [&](const std::string& name, const nlohmann::json& golden) {
    const auto crop = CropForClip(WithoutAlpha(tensors_.Picture(name + ".in")), golden.at("size"));
    ASSERT_TRUE(crop.ok()) << crop.status();
    const std::vector<float> expected = tensors_.Floats(name + ".out_hf");
    ASSERT_EQ(crop->pixels.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const double mean = golden.at("mean").at(i % 3);
      const double deviation = golden.at("std").at(i % 3);
      ASSERT_NEAR((crop->pixels[i] / 255.0 - mean) / deviation, expected[i], 1e-5) << i;
    }
  });
}

TEST_F(RecordedResizeTest, PicturesForTheAutoencoderEqualItsProcessors) {
  ForEach("vae_image_processor", 3, [&](const std::string& name, const nlohmann::json& golden) {
    const int width = golden.at("requested_wh").at(0).get<int>() / 8 * 8;
    const int height = golden.at("requested_wh").at(1).get<int>() / 8 * 8;
    const auto resized = Resize(tensors_.Picture(name + ".in"), width, height, {.reducing_gap = true});
    ASSERT_TRUE(resized.ok()) << resized.status();
    const std::vector<float> expected = tensors_.Floats(name + ".out");
    ASSERT_EQ(resized->pixels.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(resized->pixels[i] / 127.5 - 1, expected[i], 1e-6) << i;
    }
  });
}

TEST_F(RecordedResizeTest, MasksAreBinarisedAsInpaintingDoes) {
  ForEach("diffusers_inpaint_inputs", 2, [&](const std::string& name, const nlohmann::json& golden) {
    const auto resized = Resize(tensors_.Picture(name + ".mask_in"), golden.at("out_wh").at(0),
                                golden.at("out_wh").at(1), {.filter = ResampleFilter::kLanczos});
    ASSERT_TRUE(resized.ok()) << resized.status();
    const std::vector<float> keep = tensors_.Floats(name + ".mask_keep_pixels");
    ASSERT_EQ(resized->pixels.size(), keep.size());
    for (size_t i = 0; i < keep.size(); ++i) {
      ASSERT_EQ(resized->pixels[i] / 255.0F < 0.5F ? 1.0F : 0.0F, keep[i]) << i;
    }
  });
}

TEST(PillowResizeTest, EveryCaseIsEqual) {
  const GoldenFile tensors("imaging/resize");
  int resizes = 0;
  int crops = 0;
  for (const nlohmann::json& golden : GoldenCases("imaging/resize")) {
    SCOPED_TRACE(golden.dump());
    const Image in = tensors.Picture(golden.at("in").get<std::string>() + ".in");
    const Image expected = tensors.Picture(golden.at("case").get<std::string>() + ".out");
    absl::StatusOr<Image> result;
    if (golden.contains("clip_size")) {
      ++crops;
      result = CropForClip(in, golden.at("clip_size"));
    } else {
      ++resizes;
      result = Resize(in, golden.at("size").at(0), golden.at("size").at(1),
                      {.filter = FilterOf(golden), .reducing_gap = golden.at("reducing_gap")});
    }
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(LargestDifference(*result, expected), 0);
  }
  EXPECT_GE(resizes, 100);
  EXPECT_GE(crops, 9);
}

}  // namespace
}  // namespace kandinsky
