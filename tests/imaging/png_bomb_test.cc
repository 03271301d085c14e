// Compressed data that goes on behind the last row must not be inflated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "imaging/png.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

std::string Uint32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

std::string Chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return Uint32(static_cast<uint32_t>(data.size())) + body + Uint32(static_cast<uint32_t>(crc));
}

std::string Deflate(const std::string& data, int level) {
  uLongf size = compressBound(data.size());
  std::string out(size, '\0');
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                      reinterpret_cast<const Bytef*>(data.data()), data.size(), level),
            Z_OK);
  out.resize(size);
  return out;
}

struct Shape {
  uint32_t width;
  uint32_t height;
  int depth;
  int interlace = 0;
};

// A grey PNG whose compressed pixels, cut into chunks of `chunk_bytes`, are `rows`; a large text follows
// them.
std::string GreyPng(const Shape& shape, const std::string& rows, int level, size_t chunk_bytes) {
  std::string png =
      "\x89PNG\r\n\x1a\n" +
      Chunk("IHDR", Uint32(shape.width) + Uint32(shape.height) + static_cast<char>(shape.depth) +
                        std::string(3, '\0') + static_cast<char>(shape.interlace));
  const std::string data = Deflate(rows, level);
  for (size_t at = 0; at < data.size(); at += chunk_bytes) png += Chunk("IDAT", data.substr(at, chunk_bytes));
  return png + Chunk("tEXt", std::string("k\0", 2) + std::string(300'000, 't')) + Chunk("IEND", "");
}

std::string ErrorOf(const std::string& png) { return std::string(DecodePng(png).status().message()); }

TEST(PngBombTest, DataBehindTheLastRowIsNotInflated) {
  const std::string zeros(40 << 20, '\0');
  EXPECT_THAT(ErrorOf(GreyPng({1, 1, 8}, zeros, 1, 1 << 20)), HasSubstr("more data than pixels"));
  EXPECT_THAT(ErrorOf(GreyPng({1, 1, 8, 1}, zeros, 1, 1 << 20)), HasSubstr("more data than pixels"));
  // So many pixels that as much compressed data could be theirs, were they not few bytes when compressed.
  EXPECT_THAT(ErrorOf(GreyPng({2000, 2000, 8}, zeros, 1, 1 << 20)), HasSubstr("more data than pixels"));
  EXPECT_THAT(ErrorOf(GreyPng({2000, 2000, 8, 1}, zeros, 1, 1 << 20)), HasSubstr("more data than pixels"));
}

TEST(PngBombTest, PicturesStoredUncompressedInSmallChunksAreTaken) {
  for (const auto& [width, height] :
       {std::pair<uint32_t, uint32_t>{300, 400}, {1, 1}, {1, 5000}, {5000, 1}}) {
    const std::string rows((width + 1) * height, '\0');
    const auto image = DecodePng(GreyPng({width, height, 8}, rows, 0, 7));
    ASSERT_TRUE(image.ok()) << image.status() << " " << width << "x" << height;
    EXPECT_EQ(image->height, static_cast<int>(height));
  }
}

TEST(PngBombTest, InterlacedPicturesAreTaken) {
  // Rows and columns of the seven passes of Adam7 for 8 x 8 pixels.
  std::string rows;
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 1}, {2, 1}, {2, 2}, {4, 2}, {4, 4}, {8, 4}}) {
    rows += std::string(static_cast<size_t>((width + 1) * height), '\0');
  }
  const auto image = DecodePng(GreyPng({8, 8, 8, 1}, rows, 0, 5));
  ASSERT_TRUE(image.ok()) << image.status();
}

}  // namespace
}  // namespace kandinsky
