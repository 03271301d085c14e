// Files of every kind, whole and damaged, against what the recorded Pillow made of them.
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "imaging/encoded_image.h"
#include "tests/imaging/golden_file.h"

namespace kandinsky {
namespace {

constexpr char kCorpus[] = "imaging/codecs";

uint32_t Checksum(const Image& image) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(image.pixels.data()), static_cast<uInt>(image.pixels.size())));
}

void ExpectRefused(const std::string& file) {
  const absl::Status status = DecodeImage(file).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(DecodeGray(file).status(), status);
  EXPECT_EQ(DecodeDepth(file).status(), status);
}

void ExpectImage(const std::string& file, const nlohmann::json& golden) {
  const auto info = ProbeImage(file);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ((std::vector<int>{info->width, info->height}), golden.at("size").get<std::vector<int>>());
  const auto rgb = DecodeImage(file);
  ASSERT_TRUE(rgb.ok()) << rgb.status();
  EXPECT_EQ((std::vector<int>{rgb->width, rgb->height}), golden.at("size").get<std::vector<int>>());
  EXPECT_EQ(Checksum(*rgb), golden.at("rgb").get<uint32_t>());
  EXPECT_EQ(Checksum(*DecodeGray(file, {}, Ground::kBlack)), golden.at("grey_over_black").get<uint32_t>());
  EXPECT_EQ(Checksum(*DecodeGray(file, {}, Ground::kWhite)), golden.at("grey_over_white").get<uint32_t>());
}

TEST(CodecCorpusTest, FilesAreReadAndRefusedAsRecorded) {
  const GoldenFile files(kCorpus);
  const nlohmann::json cases = GoldenCases(kCorpus);
  EXPECT_GE(cases.size(), 700U);
  for (const nlohmann::json& golden : cases) {
    const std::string name = golden.at("case");
    SCOPED_TRACE(name);
    const std::string file = files.Bytes(name);
    if (golden.contains("refused")) {
      ExpectRefused(file);
    } else {
      ExpectImage(file, golden);
    }
  }
}

}  // namespace
}  // namespace kandinsky
