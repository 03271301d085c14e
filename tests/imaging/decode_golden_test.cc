#include <gtest/gtest.h>

#include "imaging/encoded_image.h"
#include "tests/imaging/golden_file.h"

namespace kandinsky {
namespace {

// Every color type, subsampling, alpha and orientation, as Pillow reads them.
TEST(PillowDecodeTest, EveryFileDecodesToTheSamePixels) {
  const GoldenFile tensors("imaging/decode");
  const nlohmann::json cases = GoldenCases("imaging/decode");
  EXPECT_GE(cases.size(), 38U);
  for (const nlohmann::json& golden : cases) {
    const std::string name = golden.at("case");
    SCOPED_TRACE(name);
    const std::string file = tensors.Bytes(name + ".file");
    const Image expected = tensors.ReadImage(name + ".rgb");
    const auto info = ProbeImage(file);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->width, expected.width);
    EXPECT_EQ(info->height, expected.height);
    const ImageFormat format = name.starts_with("png")    ? ImageFormat::kPng
                               : name.starts_with("jpeg") ? ImageFormat::kJpeg
                                                          : ImageFormat::kWebp;
    EXPECT_EQ(info->format, format);
    const auto image = DecodeImage(file);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(LargestDifference(*image, expected), 0);
    const auto gray = DecodeGray(file, {}, Ground::kWhite);
    ASSERT_TRUE(gray.ok()) << gray.status();
    EXPECT_EQ(LargestDifference(*gray, tensors.ReadImage(name + ".grey")), 0);
  }
}

}  // namespace
}  // namespace kandinsky
