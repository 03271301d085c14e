#include "imaging/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cmath>
#include <set>
#include <tuple>

#include "imaging/encoded_image.h"
#include "imaging/resize.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);

std::string Uint32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

std::string Header(uint32_t width, uint32_t height, int depth, int color_type, int interlace = 0) {
  return PngChunk("IHDR", Uint32(width) + Uint32(height) + static_cast<char>(depth) +
                              static_cast<char>(color_type) + std::string(2, '\0') +
                              static_cast<char>(interlace));
}

std::string Deflate(const std::string& data) {
  uLongf size = compressBound(data.size());
  std::string out(size, '\0');
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()),
                     data.size()),
            Z_OK);
  out.resize(size);
  return out;
}

// A PNG made by hand: `rows` are the filtered scan lines, `before_pixels` further chunks.
std::string Png(const std::string& header, const std::string& rows, const std::string& before_pixels = "") {
  return std::string(kSignature) + header + before_pixels + PngChunk("IDAT", Deflate(rows)) +
         PngChunk("IEND", "");
}

// What a viewer with a white background shows.
std::vector<uint8_t> ToRgb(const Image& image) {
  std::vector<uint8_t> rgb;
  for (size_t i = 0; i < image.pixels.size(); i += static_cast<size_t>(image.channels)) {
    const double alpha = image.channels == 4 ? image.pixels[i + 3] / 255.0 : 1.0;
    for (size_t c = 0; c < 3; ++c) {
      const double value = image.pixels[i + (image.channels == 1 ? 0 : c)];
      rgb.push_back(static_cast<uint8_t>(std::lround(value * alpha + 255 * (1 - alpha))));
    }
  }
  return rgb;
}

std::string ErrorOf(const std::string& png, const DecodeLimits& limits = {}) {
  const absl::StatusOr<Image> image = DecodeImage(png, limits);
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(image.status().message());
}

class PngRoundTrip : public ::testing::TestWithParam<std::tuple<int, std::pair<int, int>>> {};

TEST_P(PngRoundTrip, KeepsEveryPixel) {
  const auto [channels, size] = GetParam();
  const Image image = NoiseImage(size.first, size.second, channels);
  for (const int level : {1, 6, 12}) {
    const absl::StatusOr<std::string> png = EncodePng(image, {.compression_level = level, .text = {}});
    ASSERT_TRUE(png.ok()) << png.status();
    const absl::StatusOr<Image> decoded = DecodeImage(*png);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, image.width);
    EXPECT_EQ(decoded->height, image.height);
    EXPECT_EQ(decoded->channels, 3);
    EXPECT_EQ(decoded->pixels, ToRgb(image));
  }
}

INSTANTIATE_TEST_SUITE_P(ChannelsAndSizes, PngRoundTrip,
                         ::testing::Combine(::testing::Values(1, 3, 4),
                                            ::testing::Values(std::pair{1, 1}, std::pair{1, 17},
                                                              std::pair{17, 1}, std::pair{31, 33},
                                                              std::pair{64, 64}, std::pair{255, 3})));

TEST(EncodePngTest, WritesTextAsUtf8ChunksBeforeThePixels) {
  const Image image = NoiseImage(2, 2, 3);
  const std::string png =
      *EncodePng(image, {.compression_level = 1, .text = {{"prompt", "кот"}, {"seed", "42"}}});
  const std::string expected = PngChunk("iTXt", std::string("prompt\0\0\0\0\0", 11) + "кот") +
                               PngChunk("iTXt", std::string("seed\0\0\0\0\0", 9) + "42");
  const size_t at = png.find(expected);
  ASSERT_NE(at, std::string::npos);
  EXPECT_LT(at, png.find("IDAT"));
  EXPECT_EQ(DecodeImage(png)->pixels, image.pixels);
}

TEST(EncodePngTest, WritesTheSameBytesEveryTime) {
  EXPECT_EQ(*EncodePng(NoiseImage(40, 40, 3)), *EncodePng(NoiseImage(40, 40, 3)));
}

TEST(EncodePngTest, CompressesASmoothImage) {
  Image image{256, 256, 3, {}};
  for (int y = 0; y < 256; ++y) {
    for (int x = 0; x < 256; ++x) {
      for (const int value : {x, y, (x + y) / 2}) image.pixels.push_back(static_cast<uint8_t>(value));
    }
  }
  EXPECT_LT(EncodePng(image)->size(), image.pixels.size() / 10);
}

// What libpng makes of an RGB image by default: zlib level 6, the best filter for each row.
std::string LibpngDefault(const Image& image) {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp writer, png_bytep data, size_t size) {
    static_cast<std::string*>(png_get_io_ptr(writer))->append(reinterpret_cast<const char*>(data), size);
  };
  png_set_write_fn(png, &out, append, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
               PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < image.height; ++y) {
    png_write_row(png, image.pixels.data() + static_cast<size_t>(y) * image.row_bytes());
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return out;
}

TEST(EncodePngTest, StaysCloseToLibpngsSize) {
  const Image photo = PhotoLikeImage(512, 384, 3);
  const Image soft = *Resize(photo, 768, 576);  // as generated images are
  for (const auto& [image, most] : {std::pair{photo, 1.12}, {soft, 1.08}, {NoiseImage(200, 200, 3), 1.01}}) {
    const std::string peer = LibpngDefault(image);
    ASSERT_EQ(DecodeImage(peer)->pixels, image.pixels);
    EXPECT_LT(static_cast<double>(EncodePng(image)->size()), most * static_cast<double>(peer.size()));
  }
}

// The filter of each row: one byte before it, under the compression.
std::set<char> FiltersOf(const Image& image) {
  const std::string png = *EncodePng(image);
  const size_t data = png.find("IDAT") + 4;
  std::string rows((image.row_bytes() + 1) * static_cast<size_t>(image.height), '\0');
  uLongf size = rows.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(rows.data()), &size,
                       reinterpret_cast<const Bytef*>(png.data() + data), png.size() - data),
            Z_OK);
  std::set<char> filters;
  for (size_t y = 0; y < rows.size(); y += image.row_bytes() + 1) filters.insert(rows[y]);
  return filters;
}

TEST(EncodePngTest, ChoosesTheFilterOfARow) {
  EXPECT_TRUE(FiltersOf(PhotoLikeImage(64, 64, 3)).contains(3));
  Image columns = NoiseImage(64, 64, 3);  // every row as the first
  for (size_t i = columns.row_bytes(); i < columns.pixels.size(); ++i) {
    columns.pixels[i] = columns.pixels[i - columns.row_bytes()];
  }
  EXPECT_TRUE(FiltersOf(columns).contains(2));
  EXPECT_LT(EncodePng(columns)->size(), columns.pixels.size() / 20);
}

TEST(EncodePngTest, RefusesImagesThatContradictThemselves) {
  const auto refused = [](const Image& image) {
    return EncodePng(image).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(Image{0, 4, 3, {}}));
  EXPECT_TRUE(refused(Image{4, -1, 3, {}}));
  EXPECT_TRUE(refused(Image{2, 2, 2, std::vector<uint8_t>(8)}));
  EXPECT_TRUE(refused(Image{2, 2, 3, std::vector<uint8_t>(11)}));
  EXPECT_TRUE(refused(Image{2, 2, 3, std::vector<uint8_t>(13)}));
  EXPECT_TRUE(refused(Image{1 << 30, 1 << 30, 4, {}}));
}

TEST(EncodePngTest, RefusesOptionsOutOfRange) {
  const Image image = NoiseImage(2, 2, 3);
  const auto refused = [&](const PngOptions& options) {
    return EncodePng(image, options).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({.compression_level = 0, .text = {}}));
  EXPECT_TRUE(refused({.compression_level = 13, .text = {}}));
  for (const std::string& key : {std::string(), std::string(80, 'k'), std::string("a\nb"), std::string(" a"),
                                 std::string("a "), std::string("a  b"), std::string("a\0b", 3)}) {
    EXPECT_TRUE(refused({.compression_level = 1, .text = {{key, "value"}}})) << key;
  }
  EXPECT_TRUE(refused({.compression_level = 1, .text = {{"key", std::string("a\0b", 3)}}}));
  EXPECT_FALSE(refused({.compression_level = 1, .text = {{std::string(79, 'k'), ""}}}));
}

TEST(DecodePngTest, ExpandsGrayOfEveryDepth) {
  EXPECT_EQ(DecodeImage(Png(Header(4, 1, 1, 0), std::string("\0\xA0", 2)))->pixels,
            (std::vector<uint8_t>{255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0}));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 2, 0), std::string("\0\x60", 2)))->pixels,
            (std::vector<uint8_t>{85, 85, 85, 170, 170, 170}));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 4, 0), std::string("\0\x3F", 2)))->pixels,
            (std::vector<uint8_t>{51, 51, 51, 255, 255, 255}));
  EXPECT_EQ(DecodeImage(Png(Header(1, 1, 16, 0), std::string("\0\x12\xFF", 3)))->pixels,
            (std::vector<uint8_t>{0x12, 0x12, 0x12}));
}

TEST(DecodePngTest, KeepsTheHighByteOf16BitSamples) {
  EXPECT_EQ(DecodeImage(Png(Header(1, 1, 16, 2), std::string("\0\x12\xFF\x34\x80\x56\x01", 7)))->pixels,
            (std::vector<uint8_t>{0x12, 0x34, 0x56}));
  EXPECT_EQ(
      DecodeImage(Png(Header(1, 1, 16, 6), std::string("\0\x12\xFF\x34\x80\x56\x01\xFF\x00", 9)))->pixels,
      (std::vector<uint8_t>{0x12, 0x34, 0x56}));
}

TEST(DecodePngTest, LaysTransparentPixelsOverWhite) {
  EXPECT_EQ(
      DecodeImage(Png(Header(1, 1, 16, 6), std::string("\0\x12\xFF\x34\x80\x56\x01\x00\x00", 9)))->pixels,
      (std::vector<uint8_t>{255, 255, 255}));
  EXPECT_EQ(
      DecodeImage(Png(Header(2, 1, 8, 6), std::string("\0\x12\x34\x56\x00\x00\x64\xFF\x33", 9)))->pixels,
      (std::vector<uint8_t>{255, 255, 255, 204, 224, 255}));
  EXPECT_EQ(DecodeImage(Png(Header(1, 1, 8, 4), std::string("\0\x12\x40", 3)))->pixels,
            (std::vector<uint8_t>{196, 196, 196}));
}

TEST(DecodePngTest, ExpandsPalettesWithAndWithoutTransparency) {
  const std::string palette = PngChunk("PLTE", "\x01\x02\x03\x04\x05\x06");
  const std::vector<uint8_t> expected = {4, 5, 6, 1, 2, 3};
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 8, 3), std::string("\0\x01\x00", 3), palette))->pixels, expected);
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 1, 3), std::string("\0\x80", 2), palette))->pixels, expected);
  const std::string transparent = palette + PngChunk("tRNS", std::string("\xFF\x00", 2));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 8, 3), std::string("\0\x01\x00", 3), transparent))->pixels,
            (std::vector<uint8_t>{255, 255, 255, 1, 2, 3}));
}

TEST(DecodePngTest, ShowsColorKeysAsWhite) {
  const std::string gray_key = PngChunk("tRNS", std::string("\x00\x12", 2));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 8, 0), std::string("\0\x12\x13", 3), gray_key))->pixels,
            (std::vector<uint8_t>{255, 255, 255, 0x13, 0x13, 0x13}));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 16, 0), std::string("\0\x00\x12\x00\x13", 5), gray_key))->pixels,
            (std::vector<uint8_t>{255, 255, 255, 0, 0, 0}));
  const std::string bit_key = PngChunk("tRNS", std::string("\x00\x00", 2));
  EXPECT_EQ(DecodeImage(Png(Header(8, 1, 1, 0), std::string("\0\x55", 2), bit_key))->pixels,
            std::vector<uint8_t>(24, 255));
  const std::string rgb_key = PngChunk("tRNS", std::string("\0\x01\0\x02\0\x03", 6));
  EXPECT_EQ(
      DecodeImage(Png(Header(2, 1, 8, 2), std::string("\0\x01\x02\x03\x01\x02\x04", 7), rgb_key))->pixels,
      (std::vector<uint8_t>{255, 255, 255, 1, 2, 4}));
}

TEST(DecodePngTest, ShowsColorsBeyondThePaletteAsBlack) {
  const std::string palette = PngChunk("PLTE", std::string("\x01\x02\x03", 3));
  EXPECT_EQ(DecodeImage(Png(Header(2, 1, 8, 3), std::string("\0\x05\x00", 3), palette))->pixels,
            (std::vector<uint8_t>{0, 0, 0, 1, 2, 3}));
}

TEST(DecodePngTest, ReadsInterlacedImages) {
  // Adam7 passes of a 2x2 image: (0,0); (1,0); row 1.
  const std::string rows("\0\x01\x01\x01\0\x02\x02\x02\0\x03\x03\x03\x04\x04\x04", 15);
  EXPECT_EQ(DecodeImage(Png(Header(2, 2, 8, 2, 1), rows))->pixels,
            (std::vector<uint8_t>{1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}));
}

TEST(DecodePngTest, SkipsAncillaryChunksUnread) {
  const std::string bomb = Deflate(std::string(50 << 20, 'a'));
  const std::string chunks = PngChunk("iCCP", std::string("p\0\0", 3) + bomb) +
                             PngChunk("zTXt", std::string("k\0\0", 3) + bomb) + PngChunk("eXIf", "broken") +
                             PngChunk("gAMA", Uint32(0)) + PngChunk("acTL", "broken") +
                             PngChunk("abCd", "unknown");
  EXPECT_EQ(DecodeImage(Png(Header(1, 1, 8, 2), std::string("\0\x01\x02\x03", 4), chunks))->pixels,
            (std::vector<uint8_t>{1, 2, 3}));
}

TEST(DecodePngTest, SurvivesAHundredThousandChunks) {
  std::string chunks;
  for (int i = 0; i < 100'000; ++i) chunks += PngChunk("tEXt", std::string("k\0v", 3));
  EXPECT_TRUE(DecodeImage(Png(Header(1, 1, 8, 2), std::string("\0\x01\x02\x03", 4), chunks)).ok());
}

TEST(DecodePngTest, RefusesTooManyPixelsFromTheHeaderAlone) {
  // Nothing follows the header, so a message about the size shows that nothing else was read.
  EXPECT_THAT(ErrorOf(std::string(kSignature) + Header(30000, 30000, 8, 2)),
              HasSubstr("too many pixels: more than 16000000"));
  EXPECT_THAT(ErrorOf(std::string(kSignature) + Header(0x7fffffff, 0x7fffffff, 16, 6)),
              HasSubstr("too many pixels"));
  const std::string four = Png(Header(2, 2, 8, 0), std::string(6, '\0'));
  EXPECT_THAT(ErrorOf(four, {.max_pixels = 3}), HasSubstr("too many pixels"));
  EXPECT_TRUE(DecodeImage(four, {.max_pixels = 4}).ok());
}

TEST(DecodePngTest, RefusesMoreBytesThanAllowed) {
  const std::string png = *EncodePng(NoiseImage(8, 8, 3));
  EXPECT_TRUE(DecodeImage(png, {.max_encoded_bytes = png.size()}).ok());
  EXPECT_THAT(ErrorOf(png, {.max_encoded_bytes = png.size() - 1}), HasSubstr("larger than"));
}

TEST(DecodePngTest, RefusesImpossibleSizes) {
  for (const auto& [width, height] : {std::pair{0u, 1u}, std::pair{1u, 0u}, std::pair{0x80000000u, 1u}}) {
    EXPECT_THAT(ErrorOf(Png(Header(width, height, 8, 2), std::string(4, '\0'))),
                HasSubstr("impossible size"));
  }
}

TEST(DecodePngTest, RefusesWhatIsNotAPng) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("not a PNG"));
  EXPECT_THAT(ErrorOf(std::string(kSignature)), HasSubstr("no header"));
  EXPECT_THAT(ErrorOf(std::string(kSignature) + PngChunk("IDAT", std::string(13, 'x'))),
              HasSubstr("no header"));
}

TEST(DecodePngTest, RefusesEveryTruncationThatLosesPixels) {
  const std::string png = *EncodePng(NoiseImage(50, 50, 3));
  for (size_t sixteenth = 0; sixteenth < 16; ++sixteenth) {
    EXPECT_FALSE(DecodeImage(png.substr(0, png.size() * sixteenth / 16)).ok()) << sixteenth;
  }
  for (size_t missing = 1; missing <= 40; ++missing) {
    // The end mark, the checksum before it and that of the compressed stream hold no pixels.
    constexpr size_t kBehindPixels = 12 + 4 + 4;
    EXPECT_EQ(DecodeImage(png.substr(0, png.size() - missing)).ok(), missing <= kBehindPixels) << missing;
  }
}

TEST(DecodePngTest, RefusesEveryFlippedByteThatCouldChangeTheImage) {
  const Image image = NoiseImage(5, 5, 3);
  const std::string png = *EncodePng(image, {.compression_level = 1, .text = {{"key", "value"}}});
  const size_t pixels = png.find("IDAT") - 4;
  for (size_t i = 0; i < png.size(); ++i) {
    std::string damaged = png;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto decoded = DecodeImage(damaged);
    EXPECT_TRUE(!decoded.ok() || (i >= pixels && decoded->pixels == image.pixels)) << "byte " << i;
  }
}

TEST(DecodePngTest, RefusesFewerPixelsThanTheHeaderSaysButNotMore) {
  EXPECT_TRUE(DecodeImage(Png(Header(2, 2, 8, 0), std::string(600, '\0'))).ok());
  EXPECT_FALSE(DecodeImage(Png(Header(2, 2, 8, 0), std::string(5, '\0'))).ok());
}

TEST(DecodePngTest, RefusesIllegalFormats) {
  EXPECT_FALSE(DecodeImage(Png(Header(1, 1, 3, 0), std::string(2, '\0'))).ok());        // depth 3
  EXPECT_FALSE(DecodeImage(Png(Header(1, 1, 8, 5), std::string(2, '\0'))).ok());        // color type 5
  EXPECT_FALSE(DecodeImage(Png(Header(1, 1, 8, 3), std::string(2, '\0'))).ok());        // no palette
  EXPECT_FALSE(DecodeImage(Png(Header(1, 1, 8, 0), std::string("\x07\x00", 2))).ok());  // filter 7
}

TEST(DecodePngTest, PassesOverBytesAfterTheEnd) {
  const Image image = NoiseImage(5, 5, 3);
  EXPECT_EQ(DecodeImage(*EncodePng(image) + "PK\x03\x04")->pixels, image.pixels);
}

}  // namespace
}  // namespace kandinsky
