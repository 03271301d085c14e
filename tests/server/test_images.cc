#include "tests/server/test_images.h"

#include <gtest/gtest.h>

#include <vector>

#include "imaging/jpeg.h"
#include "imaging/png.h"
#include "imaging/webp.h"

namespace kandinsky::server {
namespace {

std::string Checked(absl::StatusOr<std::string> encoded) {
  EXPECT_TRUE(encoded.ok()) << encoded.status();
  return encoded.ok() ? *std::move(encoded) : "";
}

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

// As PNG chunks have it.
uint32_t Crc(const std::string& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

std::string PngChunk(const std::string& type, const std::string& content) {
  return BigEndian(static_cast<uint32_t>(content.size())) + type + content + BigEndian(Crc(type + content));
}

}  // namespace

Image PlainImage(int width, int height, uint8_t value, int channels) {
  Image image = {.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.assign(image.row_bytes() * static_cast<size_t>(height), value);
  return image;
}

std::string PngOf(const Image& image) { return Checked(EncodePng(image)); }
std::string JpegOf(const Image& image) { return Checked(EncodeJpeg(image, 95)); }
std::string WebpOf(const Image& image) { return Checked(EncodeWebp(image, 100)); }

std::string PlainPng(int width, int height, uint8_t value, int channels) {
  return PngOf(PlainImage(width, height, value, channels));
}

std::string PngHeader(uint32_t width, uint32_t height) {
  const std::string rest("\x08\x02\x00\x00\x00", 5);  // 8 bits, RGB, not interlaced
  return "\x89PNG\r\n\x1A\n" + PngChunk("IHDR", BigEndian(width) + BigEndian(height) + rest) +
         PngChunk("IDAT", "x");
}

std::string LargestWebpHeader() {
  std::string bytes("RIFF\x1E\x00\x00\x00WEBPVP8L\x12\x00\x00\x00", 20);
  const uint32_t size = 16382u | (16382u << 14);
  bytes += '\x2F';
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(size >> shift);
  bytes.resize(38, '\0');
  return bytes;
}

std::string TruncatedPng(int width, int height) {
  Image image = PlainImage(width, height);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * i % 251);
  const std::string whole = PngOf(image);
  return whole.substr(0, whole.size() / 2);
}

v1::FloatTensor PlainTensor(const std::vector<int>& shape, float value) {
  v1::FloatTensor tensor;
  size_t count = 1;
  for (const int size : shape) {
    tensor.add_shape(size);
    count *= static_cast<size_t>(size);
  }
  const std::vector<float> values(count, value);
  tensor.set_data(values.data(), count * sizeof(float));
  return tensor;
}

v1::Embedding PlainEmbedding(int size, float value) {
  v1::Embedding embedding;
  for (int i = 0; i < size; ++i) embedding.add_values(value);
  return embedding;
}

}  // namespace kandinsky::server
