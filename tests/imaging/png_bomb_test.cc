// Compressed data that goes on behind the last row must not be inflated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "imaging/encoded_image.h"

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

// A gray PNG with these compressed pixels, cut into chunks of `chunk_bytes`; a large text follows them.
std::string GrayPngOf(const Shape& shape, const std::string& data, size_t chunk_bytes) {
  std::string png =
      "\x89PNG\r\n\x1a\n" +
      Chunk("IHDR", Uint32(shape.width) + Uint32(shape.height) + static_cast<char>(shape.depth) +
                        std::string(3, '\0') + static_cast<char>(shape.interlace));
  for (size_t at = 0; at < data.size(); at += chunk_bytes) png += Chunk("IDAT", data.substr(at, chunk_bytes));
  return png + Chunk("tEXt", std::string("k\0", 2) + std::string(300'000, 't')) + Chunk("IEND", "");
}

std::string GrayPng(const Shape& shape, const std::string& rows, int level, size_t chunk_bytes) {
  return GrayPngOf(shape, Deflate(rows, level), chunk_bytes);
}

// The rows of a gray image of 8 bits that is darker from row to row.
std::string Rows(uint32_t width, uint32_t height) {
  std::string rows;
  for (uint32_t y = 0; y < height; ++y) rows += '\0' + std::string(width, static_cast<char>(255 - y % 256));
  return rows;
}

void ExpectDarkerRows(const std::string& png, uint32_t height) {
  const auto image = DecodeImage(png);
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ(image->height, static_cast<int>(height));
  for (uint32_t y = 0; y < height; ++y) {
    ASSERT_EQ(image->pixels[image->pixels.size() / height * y], 255 - y % 256) << y;
  }
}

TEST(PngBombTest, DataBehindTheLastRowDoesNotMatter) {
  for (const size_t surplus : {size_t{1}, size_t{64} << 10, size_t{65} << 10, size_t{40} << 20}) {
    for (const int level : {0, 1, 9}) {
      if (level == 0 && surplus > 1 << 20) continue;
      for (const uint32_t edge : {1u, 300u, 2000u}) {
        const std::string rows = Rows(edge, edge) + std::string(surplus, '\0');
        ExpectDarkerRows(GrayPng({edge, edge, 8}, rows, level, 1 << 20), edge);
      }
    }
  }
  // Interlaced, with the one row of the one pass that has a pixel.
  const std::string rows = Rows(1, 1) + std::string(40 << 20, '\0');
  ExpectDarkerRows(GrayPng({1, 1, 8, 1}, rows, 1, 1 << 20), 1);
}

// 7 MiB that are 7 GiB when they are inflated, which would take many seconds.
TEST(PngBombTest, DataBehindTheLastRowIsNotInflated) {
  std::string part(1100, '\0');
  z_stream stream = {};
  ASSERT_EQ(deflateInit(&stream, 9), Z_OK);
  const auto compress = [&](std::string data) {
    stream.next_in = reinterpret_cast<Bytef*>(data.data());
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = static_cast<uInt>(part.size());
    EXPECT_EQ(deflate(&stream, Z_FULL_FLUSH), Z_OK);
    return part.substr(0, part.size() - stream.avail_out);
  };
  std::string pixels = compress(Rows(300, 300));
  const std::string zeros = compress(std::string(1 << 20, '\0'));
  deflateEnd(&stream);
  ASSERT_LT(zeros.size(), part.size());
  while (pixels.size() < 7 << 20) pixels += zeros;
  ExpectDarkerRows(GrayPngOf({300, 300, 8}, pixels, 1 << 20), 300);
}

TEST(PngBombTest, ARowThatIsMissingIsStillMissed) {
  for (const int interlace : {0, 1}) {
    const std::string png = GrayPng({300, 300, 8, interlace}, Rows(300, 299), 1, 1 << 20);
    EXPECT_THAT(std::string(DecodeImage(png).status().message()), HasSubstr("damaged or truncated"));
  }
}

TEST(PngBombTest, ImagesStoredUncompressedInSmallChunksAreTaken) {
  for (const auto& [width, height] :
       {std::pair<uint32_t, uint32_t>{300, 400}, {1, 1}, {1, 5000}, {5000, 1}}) {
    const std::string rows((width + 1) * height, '\0');
    const auto image = DecodeImage(GrayPng({width, height, 8}, rows, 0, 7));
    ASSERT_TRUE(image.ok()) << image.status() << " " << width << "x" << height;
    EXPECT_EQ(image->height, static_cast<int>(height));
  }
}

TEST(PngBombTest, InterlacedImagesAreTaken) {
  // Rows and columns of the seven passes of Adam7 for 8 x 8 pixels.
  std::string rows;
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 1}, {2, 1}, {2, 2}, {4, 2}, {4, 4}, {8, 4}}) {
    rows += std::string(static_cast<size_t>((width + 1) * height), '\0');
  }
  const auto image = DecodeImage(GrayPng({8, 8, 8, 1}, rows, 0, 5));
  ASSERT_TRUE(image.ok()) << image.status();
}

}  // namespace
}  // namespace kandinsky
