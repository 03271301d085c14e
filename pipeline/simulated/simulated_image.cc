#include "pipeline/simulated/simulated_image.h"

#include <array>
#include <cstddef>

namespace kandinsky {
namespace {

constexpr int kChannels = 3;
constexpr int kGrainBits = 4;

// SplitMix64 (Steele, Lea and Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9E3779B97F4A7C15ull;
    uint64_t value = (state_ ^ (state_ >> 30)) * 0xBF58476D1CE4E5B9ull;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
    return value ^ (value >> 31);
  }

 private:
  uint64_t state_;
};

using Color = std::array<double, kChannels>;

// The colors of the four corners, row by row; below white so that the grain never overflows.
std::array<Color, 4> CornersOf(uint64_t seed) {
  Random random(seed);
  std::array<Color, 4> corners;
  for (Color& corner : corners) {
    for (double& channel : corner) channel = static_cast<double>(random.Next() % (256 - (1 << kGrainBits)));
  }
  return corners;
}

Color Between(const Color& from, const Color& to, double share) {
  Color color;
  for (size_t i = 0; i < kChannels; ++i) color[i] = from[i] + (to[i] - from[i]) * share;
  return color;
}

Image Gradient(const std::array<Color, 4>& corners, int width, int height) {
  constexpr int kFractionBits = 16;
  Image image{.width = width, .height = height, .channels = kChannels, .pixels = {}};
  image.pixels.reserve(image.row_bytes() * static_cast<size_t>(height));
  for (int y = 0; y < height; ++y) {
    const double down = static_cast<double>(y) / height;
    const Color left = Between(corners[0], corners[2], down);
    const Color right = Between(corners[1], corners[3], down);
    std::array<int64_t, kChannels> value;  // fixed point: the loop over the pixels is what costs
    std::array<int64_t, kChannels> change;
    for (size_t i = 0; i < kChannels; ++i) {
      value[i] = static_cast<int64_t>(left[i] * (1 << kFractionBits));
      change[i] = static_cast<int64_t>((right[i] - left[i]) / width * (1 << kFractionBits));
    }
    for (int x = 0; x < width; ++x) {
      for (size_t i = 0; i < kChannels; ++i) {
        image.pixels.push_back(static_cast<uint8_t>(value[i] >> kFractionBits));
        value[i] += change[i];
      }
    }
  }
  return image;
}

}  // namespace

Image SimulatedImage(uint64_t seed, int width, int height) {
  Image image = Gradient(CornersOf(seed), width, height);
  Random random(~seed);
  constexpr uint64_t kMask = (1 << kGrainBits) - 1;
  uint64_t bits = 0;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    if (i % (64 / kGrainBits) == 0) bits = random.Next();
    image.pixels[i] = static_cast<uint8_t>(image.pixels[i] + (bits & kMask));
    bits >>= kGrainBits;
  }
  return image;
}

Image SimulatedPreview(uint64_t seed, int width, int height, double done) {
  std::array<Color, 4> corners = CornersOf(seed);
  for (Color& corner : corners) corner = Between({128, 128, 128}, corner, done);
  return Gradient(corners, width, height);
}

std::vector<float> SimulatedLatents(uint64_t seed, size_t count) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Next() >> 40) / (1 << 23) - 1;
  return values;
}

}  // namespace kandinsky
