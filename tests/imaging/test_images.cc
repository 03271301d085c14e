#include "tests/imaging/test_images.h"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace kandinsky {
namespace {

std::string Number(uint64_t value, int bytes, bool little_endian) {
  std::string text(static_cast<size_t>(bytes), '\0');
  for (int i = 0; i < bytes; ++i) {
    text[static_cast<size_t>(little_endian ? i : bytes - 1 - i)] = static_cast<char>(value >> (8 * i));
  }
  return text;
}

}  // namespace

Image NoiseImage(int width, int height, int channels) {
  std::mt19937 random(static_cast<unsigned>(width * 1000 + height * 10 + channels));
  Image image{width, height, channels, {}};
  image.pixels.resize(image.row_bytes() * static_cast<size_t>(height));
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(random());
  return image;
}

Image PhotoLikeImage(int width, int height, int channels) {
  std::mt19937 random(1);
  Image image{width, height, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double edge =
          (x - width / 2) * (x - width / 2) + (y - height / 2) * (y - height / 2) < width * height / 16 ? 50
                                                                                                        : 0;
      for (int c = 0; c < channels; ++c) {
        const double wave = 110 + 50 * std::sin(x / 23.0 + c / 2.0) + 30 * std::cos(y / 17.0 - c / 3.0);
        const double noise = static_cast<int>(random() % 5) - 2;
        image.pixels.push_back(static_cast<uint8_t>(std::clamp(wave + edge + noise, 0.0, 255.0)));
      }
    }
  }
  return image;
}

double Psnr(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels ||
      a.pixels.size() != b.pixels.size()) {
    return 0;
  }
  double squares = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const double difference = a.pixels[i] - b.pixels[i];
    squares += difference * difference;
  }
  if (squares == 0) return 999;
  return 10 * std::log10(255 * 255 * static_cast<double>(a.pixels.size()) / squares);
}

std::string ExifBlock(int orientation) {
  return "II" + Number(42, 2, true) + Number(8, 4, true) + Number(1, 2, true) + Number(0x0112, 2, true) +
         Number(3, 2, true) + Number(1, 4, true) + Number(static_cast<uint64_t>(orientation), 4, true) +
         Number(0, 4, true);
}

std::string WithJpegSegment(std::string_view jpeg, uint8_t marker, std::string_view data) {
  return std::string(jpeg.substr(0, 2)) + '\xFF' + static_cast<char>(marker) +
         Number(data.size() + 2, 2, false) + std::string(data) + std::string(jpeg.substr(2));
}

std::string PngChunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return Number(data.size(), 4, false) + body + Number(crc, 4, false);
}

std::string RiffChunk(std::string_view name, std::string_view data) {
  return std::string(name) + Number(data.size(), 4, true) + std::string(data) +
         std::string(data.size() % 2, '\0');
}

std::string WebpFile(std::string_view chunks) {
  return "RIFF" + Number(chunks.size() + 4, 4, true) + "WEBP" + std::string(chunks);
}

std::string_view WebpChunks(std::string_view webp) { return webp.substr(12); }

std::string WebpExtendedHeader(uint8_t flags, int width, int height) {
  return RiffChunk("VP8X", Number(flags, 4, true) + Number(static_cast<uint64_t>(width - 1), 3, true) +
                               Number(static_cast<uint64_t>(height - 1), 3, true));
}

}  // namespace kandinsky
