#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "imaging/encoded_image.h"
#include "tests/imaging/golden_file.h"

namespace kandinsky {
namespace {

constexpr unsigned kSeedsPerFile = 300;
// Small, so that a damaged size costs nothing.
constexpr DecodeLimits kLimits = {.max_pixels = 40'000, .max_encoded_bytes = 1 << 20};

uint32_t BigEndian(const std::string& file, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(file[at + i]);
  return value;
}

// Makes the checksums of a PNG right again, so that damage reaches what lies behind them.
void FixChecksums(std::string& png) {
  size_t at = 8;
  while (at + 12 <= png.size()) {
    const size_t length = BigEndian(png, at);
    if (length > png.size() - at - 12) return;
    const uLong crc =
        crc32(0, reinterpret_cast<const Bytef*>(png.data() + at + 4), static_cast<uInt>(length + 4));
    for (size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<char>(crc >> (24 - 8 * i));
    at += 12 + length;
  }
}

// Makes the length in a WebP's file header right again.
void FixLength(std::string& webp) {
  if (webp.size() < 12) return;
  for (size_t i = 0; i < 4; ++i) webp[4 + i] = static_cast<char>((webp.size() - 8) >> (8 * i));
}

std::string Damage(std::string file, std::mt19937& random) {
  const size_t at = random() % file.size();
  switch (random() % 6) {
    case 0:
      file.resize(at);
      break;
    case 1:
      file.erase(at, 1 + random() % 20);
      break;
    case 2:
      file.insert(at, file.substr(random() % file.size(), random() % 40));
      break;
    case 3:
      file[at] = static_cast<char>(random() % 2 == 0 ? 0xFF : 0);
      break;
    default:  // the headers more often than their share
      for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
        file[random() % (random() % 2 == 0 ? file.size() : std::min<size_t>(file.size(), 64))] ^=
            static_cast<char>(1 << random() % 8);
      }
  }
  return file;
}

// Whatever a file holds: an image of the size that the header says, or a refusal.
void ExpectImageOrRefusal(const std::string& file) {
  const auto info = ProbeImage(file, kLimits);
  const auto image = DecodeImage(file, kLimits);
  const auto gray = DecodeGray(file, kLimits);
  const auto depth = DecodeDepth(file, kLimits);
  EXPECT_EQ(gray.status(), image.status());
  EXPECT_EQ(depth.status(), image.status());
  if (!image.ok()) {
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_LT(image.status().message().size(), 80U);
    return;
  }
  ASSERT_TRUE(info.ok());
  EXPECT_TRUE(CheckImage(*image).ok());
  EXPECT_TRUE(CheckImage(*gray).ok());
  EXPECT_EQ(std::pair(image->width, image->height), std::pair(info->width, info->height));
  EXPECT_EQ(std::pair(gray->width, gray->height), std::pair(info->width, info->height));
  EXPECT_EQ(depth->values.size(), gray->pixels.size());
}

class DamagedFilesTest : public ::testing::TestWithParam<const char*> {};

TEST_P(DamagedFilesTest, AreReadOrRefused) {
  const std::string format = GetParam();
  const GoldenFile tensors("imaging/decode");
  unsigned seed = 0;
  for (const nlohmann::json& golden : GoldenCases("imaging/decode")) {
    const std::string name = golden.at("case");
    if (!name.starts_with(format)) continue;
    const std::string whole = tensors.Bytes(name + ".file");
    for (unsigned i = 0; i < kSeedsPerFile; ++i) {
      std::mt19937 random(++seed);
      std::string file = Damage(whole, random);
      if (format == "png" && i % 4 != 0) FixChecksums(file);
      if (format == "webp" && i % 4 != 0) FixLength(file);
      SCOPED_TRACE(name + ", seed " + std::to_string(seed));
      ExpectImageOrRefusal(file);
    }
  }
  EXPECT_GE(seed, 5 * kSeedsPerFile);
}

INSTANTIATE_TEST_SUITE_P(Formats, DamagedFilesTest, ::testing::Values("png", "jpeg", "webp"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace kandinsky
