#include <gtest/gtest.h>
#include <zlib.h>

#include <sstream>

#include "absl/strings/str_format.h"
#include "imaging/depth_map.h"
#include "imaging/resize.h"
#include "tests/imaging/golden_file.h"

namespace kandinsky {
namespace {

// The noise of make_resize_goldens.py.
std::vector<uint8_t> Noise(size_t count, uint32_t seed) {
  std::vector<uint8_t> bytes(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t value = static_cast<uint32_t>(i) * 2654435761U + seed * 40503U;
    value = (value ^ (value >> 16)) * 0x85EBCA6BU;
    value = (value ^ (value >> 13)) * 0xC2B2AE35U;
    bytes[i] = static_cast<uint8_t>(value >> 24);
  }
  return bytes;
}

template <typename Value>
std::string CheckSum(const std::vector<Value>& values) {
  return absl::StrFormat(
      "%08x", crc32_z(0, reinterpret_cast<const Bytef*>(values.data()), values.size() * sizeof(Value)));
}

std::string CheckSumOf(const absl::StatusOr<Image>& image) {
  return image.ok() ? CheckSum(image->pixels) : std::string(image.status().message());
}

// The sizes of one recorded case.
struct SizePair {
  int width;
  int height;
  int to_width;
  int to_height;
};

DepthMap NoiseDepth(const SizePair& sizes, uint32_t seed) {
  const size_t area = static_cast<size_t>(sizes.width) * static_cast<size_t>(sizes.height);
  const std::vector<uint8_t> bytes = Noise(2 * area, seed);
  DepthMap depth{sizes.width, sizes.height, {}};
  for (size_t i = 0; i < area; ++i) {
    depth.values.push_back(static_cast<float>(bytes[i] << 8 | bytes[area + i]) / 65535.0F);
  }
  return depth;
}

// In the order of the recording.
std::vector<std::string> CheckSumsOfResults(const SizePair& sizes, uint32_t seed) {
  std::vector<std::string> sums;
  for (const int channels : {1, 3, 4}) {
    Image image{sizes.width, sizes.height, channels, {}};
    image.pixels = Noise(image.row_bytes() * static_cast<size_t>(image.height), seed);
    for (const ResampleFilter filter : {ResampleFilter::kBicubic, ResampleFilter::kLanczos}) {
      for (const bool gap : {false, true}) {
        sums.push_back(CheckSumOf(
            Resize(image, sizes.to_width, sizes.to_height, {.filter = filter, .reducing_gap = gap})));
      }
    }
    if (channels == 3)
      sums.push_back(CheckSumOf(CropForClip(image, std::min(sizes.to_width, sizes.to_height))));
  }
  absl::StatusOr<DepthMap> depth = ResizeDepth(NoiseDepth(sizes, seed), sizes.to_width, sizes.to_height);
  if (!depth.ok()) return {};
  for (float& value : depth->values) value += 0.0F;  // -0 becomes 0
  sums.push_back(CheckSum(depth->values));
  return sums;
}

TEST(PillowResizeTest, EveryModeEqualsThePinnedPillowsAtEverySize) {
  const nlohmann::json cases = GoldenCases("resize/pillow");
  ASSERT_GE(cases.size(), 400U);
  int vertical_first = 0;
  for (uint32_t seed = 0; seed < cases.size(); ++seed) {
    const nlohmann::json& sides = cases[seed].at("sizes");
    const SizePair sizes = {sides.at(0), sides.at(1), sides.at(2), sides.at(3)};
    SCOPED_TRACE(sides.dump());
    std::istringstream words(cases[seed].at("sums").get<std::string>());
    const std::vector<std::string> expected(std::istream_iterator<std::string>(words), {});
    EXPECT_EQ(CheckSumsOfResults(sizes, seed), expected);
    if (sizes.height - sizes.to_height > std::max(0, 2 * (sizes.width - sizes.to_width))) ++vertical_first;
  }
  EXPECT_GE(vertical_first, 100);
}

}  // namespace
}  // namespace kandinsky
