#include "imaging/encoded_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "imaging/jpeg.h"
#include "imaging/png.h"
#include "imaging/webp.h"
#include "tests/imaging/golden_file.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kPngSignature("\x89PNG\r\n\x1a\n", 8);

std::string PngHeader(uint32_t width, uint32_t height, int depth, int color_type) {
  std::string data;
  for (const uint32_t side : {width, height}) {
    for (int shift = 24; shift >= 0; shift -= 8) data.push_back(static_cast<char>(side >> shift));
  }
  data += std::string{static_cast<char>(depth), static_cast<char>(color_type), '\0', '\0', '\0'};
  return std::string(kPngSignature) + PngChunk("IHDR", data);
}

// A PNG with other bytes in place of its eXIf-less middle: `chunks` go behind IHDR.
std::string WithPngChunks(std::string_view png, std::string_view chunks) {
  constexpr size_t kBehindHeader = 8 + 25;
  return std::string(png.substr(0, kBehindHeader)) + std::string(chunks) +
         std::string(png.substr(kBehindHeader));
}

// The file with the size in its frame header replaced.
std::string WithJpegSize(std::string jpeg, int width, int height) {
  for (const char marker : {'\xC0', '\xC2'}) {
    const size_t at = jpeg.find(std::string{'\xFF', marker, '\0'});
    if (at == std::string::npos) continue;
    jpeg[at + 5] = static_cast<char>(height >> 8);
    jpeg[at + 6] = static_cast<char>(height);
    jpeg[at + 7] = static_cast<char>(width >> 8);
    jpeg[at + 8] = static_cast<char>(width);
    return jpeg;
  }
  ADD_FAILURE() << "no frame header";
  return jpeg;
}

// A WebP whose lossless header claims a size that its data does not hold.
std::string EmptyWebp(int width, int height) {
  const uint32_t bits = static_cast<uint32_t>(width - 1) | static_cast<uint32_t>(height - 1) << 14;
  std::string data = "\x2F";
  for (int shift = 0; shift < 32; shift += 8) data.push_back(static_cast<char>(bits >> shift));
  return WebpFile(RiffChunk("VP8L", data + std::string(13, '\0')));
}

std::string ProgressiveGrayJpeg() { return GoldenFile("imaging/decode").Bytes("jpeg_progressive_grey.file"); }

// What all functions say of a file that they must refuse.
std::string ErrorOf(const std::string& file, const DecodeLimits& limits = {}) {
  const absl::Status status = DecodeImage(file, limits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(DecodeGray(file, limits).status(), status);
  EXPECT_EQ(DecodeDepth(file, limits).status(), status);
  return std::string(status.message());
}

// As ErrorOf, for what the header alone shows.
std::string ProbeErrorOf(const std::string& file, const DecodeLimits& limits = {}) {
  const std::string error = ErrorOf(file, limits);
  EXPECT_EQ(ProbeImage(file, limits).status().message(), error);
  return error;
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::vector<std::string> FilesOfEveryFormat() {
  const Image image = PhotoLikeImage(60, 40, 3);
  return {*EncodePng(image),
          *EncodeJpeg(image, 80),
          *EncodeJpeg(image, 95),
          *EncodeWebp(image, 80),
          *EncodeWebp(image, 100),
          GoldenFile("imaging/decode").Bytes("jpeg_progressive.file"),
          GoldenFile("imaging/decode").Bytes("webp_lossy_alpha.file")};
}

TEST(ProbeImageTest, TellsFormatAndSizeByTheFirstBytes) {
  const Image image = PhotoLikeImage(60, 40, 3);
  const auto expect = [](const std::string& file, ImageFormat format) {
    const auto info = ProbeImage(file);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->format, format);
    EXPECT_EQ(info->width, 60);
    EXPECT_EQ(info->height, 40);
  };
  expect(*EncodePng(image), ImageFormat::kPng);
  expect(*EncodeJpeg(image, 80), ImageFormat::kJpeg);
  expect(*EncodeWebp(image, 80), ImageFormat::kWebp);
  expect(*EncodeWebp(image, 100), ImageFormat::kWebp);
}

TEST(ProbeImageTest, NeedsTheHeaderOnly) {
  EXPECT_TRUE(ProbeImage(PngHeader(3000, 3000, 8, 2)).ok());
  const std::string jpeg = *EncodeJpeg(NoiseImage(100, 100, 3), 95);
  EXPECT_TRUE(ProbeImage(jpeg.substr(0, 1000)).ok());
}

TEST(ProbeImageTest, GivesTheSizeAsDisplayed) {
  const Image image = PhotoLikeImage(60, 40, 3);
  const std::string exif = ExifBlock(6);
  const std::string webp =
      WebpFile(WebpExtendedHeader(0x08, 60, 40) + std::string(WebpChunks(*EncodeWebp(image, 100))) +
               RiffChunk("EXIF", exif));
  const std::string jpeg = WithJpegSegment(*EncodeJpeg(image, 95), 0xE1, std::string("Exif\0\0", 6) + exif);
  const std::string png = WithPngChunks(*EncodePng(image), PngChunk("eXIf", exif));
  for (const std::string& file : {webp, jpeg, png}) {
    const auto info = ProbeImage(file);
    ASSERT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(info->width, 40);
    EXPECT_EQ(info->height, 60);
    const auto decoded = DecodeImage(file);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, 40);
    EXPECT_EQ(decoded->height, 60);
  }
}

TEST(DecodeImageTest, IgnoresOrientationsThatTheExtendedHeaderDoesNotAnnounce) {
  const std::string chunks(WebpChunks(*EncodeWebp(PhotoLikeImage(60, 40, 3), 100)));
  EXPECT_EQ(
      ProbeImage(WebpFile(WebpExtendedHeader(0, 60, 40) + chunks + RiffChunk("EXIF", ExifBlock(6))))->width,
      60);
}

TEST(DecodeImageTest, TakesTheFirstExifSegmentOfAJpeg) {
  const std::string prefix("Exif\0\0", 6);
  std::string jpeg = WithJpegSegment(*EncodeJpeg(PhotoLikeImage(60, 40, 3), 95), 0xE1, prefix + ExifBlock(1));
  jpeg = WithJpegSegment(jpeg, 0xE1, prefix + ExifBlock(6));
  jpeg = WithJpegSegment(jpeg, 0xE1, "http://ns.adobe.com/xap/1.0/");
  EXPECT_EQ(ProbeImage(jpeg)->width, 40);
}

TEST(DecodeImageTest, RefusesBombsByTheirHeadersWithoutUsingMemory) {
  const std::string webp = EmptyWebp(16383, 16383);
  EXPECT_EQ(webp.size(), 38U);
  const std::vector<std::string> bombs = {webp, PngHeader(30000, 30000, 8, 2),
                                          WithJpegSize(ProgressiveGrayJpeg(), 16383, 16383)};
  for (const std::string& bomb : bombs) EXPECT_EQ(ProbeErrorOf(bomb), "too many pixels: more than 16000000");
  const int64_t before = ResidentBytes();
  for (int i = 0; i < 100; ++i) {
    for (const std::string& bomb : bombs) EXPECT_FALSE(DecodeImage(bomb).ok());
  }
  EXPECT_LT(ResidentBytes() - before, 2 << 20);
}

TEST(DecodeImageTest, RefusesHeadersThatPromiseMoreThanTheFileHolds) {
  EXPECT_THAT(ErrorOf(EmptyWebp(4000, 4000)), HasSubstr("damaged or truncated"));
  EXPECT_THAT(ErrorOf(WithJpegSize(ProgressiveGrayJpeg(), 4000, 4000)), HasSubstr("damaged or truncated"));
  EXPECT_THAT(ErrorOf(WithJpegSize(*EncodeJpeg(NoiseImage(60, 40, 3), 80), 60, 64)),
              HasSubstr("damaged or truncated"));
  EXPECT_THAT(ErrorOf(PngHeader(4000, 4000, 8, 2) + PngChunk("IEND", "")), HasSubstr("damaged or truncated"));
}

TEST(DecodeImageTest, AppliesTheCallersLimits) {
  for (const std::string& file : FilesOfEveryFormat()) {
    const auto info = ProbeImage(file);
    ASSERT_TRUE(info.ok());
    const int64_t pixels = int64_t{info->width} * info->height;
    EXPECT_TRUE(DecodeImage(file, {.max_pixels = pixels, .max_encoded_bytes = file.size()}).ok());
    EXPECT_EQ(ProbeErrorOf(file, {.max_pixels = pixels - 1}),
              "too many pixels: more than " + std::to_string(pixels - 1));
    EXPECT_EQ(ProbeErrorOf(file, {.max_encoded_bytes = file.size() - 1}),
              "encoded image is larger than " + std::to_string(file.size() - 1) + " bytes");
  }
}

TEST(DecodeImageTest, RefusesSidesBeyondWhatResizingTakes) {
  EXPECT_EQ(ProbeErrorOf(PngHeader(kMaxImageSide + 1, 1, 8, 2)), "a side is longer than 65535 pixels");
  EXPECT_EQ(ProbeErrorOf(PngHeader(1, kMaxImageSide + 1, 8, 2)), "a side is longer than 65535 pixels");
  EXPECT_TRUE(ProbeImage(PngHeader(kMaxImageSide, 1, 8, 2)).ok());
}

TEST(DecodeImageTest, RefusesWhatIsNoImage) {
  for (const std::string& file :
       {std::string(), std::string("GIF89a"), std::string("RIFF\0\0\0\0WAVE", 12), std::string("\xFF\xD8"),
        std::string("<svg/>"), std::string(kPngSignature.substr(0, 7)), std::string(100, '\0')}) {
    EXPECT_EQ(ProbeErrorOf(file), "not a PNG, JPEG or WebP file");
  }
  EXPECT_EQ(ProbeErrorOf("\xFF\xD8\xFF\xD9"), "JPEG cannot be decoded: no header");
  EXPECT_EQ(ProbeErrorOf(std::string(kPngSignature)), "PNG cannot be decoded: no header");
  EXPECT_EQ(ProbeErrorOf(WebpFile("")), "WebP cannot be decoded: damaged or truncated");
}

TEST(DecodeImageTest, RefusesEveryTruncationThatLosesPixels) {
  for (const std::string& file : FilesOfEveryFormat()) {
    const auto whole = DecodeImage(file);
    ASSERT_TRUE(whole.ok());
    for (size_t sixteenth = 0; sixteenth < 16; ++sixteenth) {
      EXPECT_FALSE(DecodeImage(file.substr(0, file.size() * sixteenth / 16)).ok()) << sixteenth;
    }
    const bool png = ProbeImage(file)->format == ImageFormat::kPng;
    for (size_t missing = 1; missing <= 40; ++missing) {
      const auto image = DecodeImage(file.substr(0, file.size() - missing));
      if (png && image.ok()) {  // 20 bytes behind the compressed data, and of these the end mark
        EXPECT_EQ(image->pixels, whole->pixels) << missing;
        EXPECT_LE(missing, 22U);
      } else {
        EXPECT_FALSE(image.ok()) << missing;
      }
    }
  }
}

TEST(DecodeImageTest, RefusesTruncatedWebpDataInFilesOfTheRightLength) {
  for (const int quality : {80, 100}) {
    const std::string webp = *EncodeWebp(NoiseImage(60, 40, 3), quality);
    const std::string data = webp.substr(20);
    for (size_t sixteenth = 1; sixteenth < 16; ++sixteenth) {
      const std::string part = data.substr(0, data.size() * sixteenth / 16);
      EXPECT_FALSE(DecodeImage(WebpFile(RiffChunk(webp.substr(12, 4), part))).ok())
          << quality << " " << sixteenth;
    }
  }
}

TEST(DecodeImageTest, PassesOverBytesAfterTheEnd) {
  for (const std::string& file : FilesOfEveryFormat()) {
    const Image image = *DecodeImage(file);
    for (const std::string& tail : {std::string("PK\x03\x04"), std::string(1, '\0'), file}) {
      const auto decoded = DecodeImage(file + tail);
      ASSERT_TRUE(decoded.ok()) << decoded.status();
      EXPECT_EQ(decoded->pixels, image.pixels);
    }
  }
}

TEST(DecodeImageTest, RefusesAnimatedWebp) {
  const std::string frame(WebpChunks(*EncodeWebp(PhotoLikeImage(60, 40, 3), 80)));
  const std::string animation =
      WebpFile(WebpExtendedHeader(0x02, 60, 40) + RiffChunk("ANIM", std::string(6, '\0')) +
               RiffChunk("ANMF", std::string("\0\0\0\0\0\0\x3B\0\0\x27\0\0\x64\0\0\0", 16) + frame));
  EXPECT_EQ(ProbeErrorOf(animation), "WebP cannot be decoded: animations are not supported");
}

TEST(DecodeImageTest, RefusesWebpFramesThatDoNotFillTheirCanvas) {
  const std::string frame(WebpChunks(*EncodeWebp(PhotoLikeImage(60, 40, 3), 80)));
  EXPECT_TRUE(DecodeImage(WebpFile(WebpExtendedHeader(0, 60, 40) + frame)).ok());
  EXPECT_THAT(ProbeErrorOf(WebpFile(WebpExtendedHeader(0, 61, 40) + frame)), HasSubstr("damaged"));
  EXPECT_THAT(ProbeErrorOf(WebpFile(WebpExtendedHeader(0, 10000, 10000) + frame)), HasSubstr("damaged"));
}

TEST(DecodeImageTest, ReadsTheFirstImageOfAnAnimatedPng) {
  const Image image = PhotoLikeImage(6, 4, 3);
  const std::string png =
      WithPngChunks(*EncodePng(image), PngChunk("acTL", std::string("\0\0\0\2\0\0\0\0", 8)));
  EXPECT_EQ(DecodeImage(png)->pixels, image.pixels);
}

TEST(DecodeGrayTest, KeepsGrayValues) {
  const Image gray = NoiseImage(30, 20, 1);
  const auto decoded = DecodeGray(*EncodePng(gray));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->channels, 1);
  EXPECT_EQ(decoded->pixels, gray.pixels);
  Image rgb = *DecodeImage(*EncodePng(gray));
  EXPECT_EQ(DecodeGray(*EncodePng(rgb))->pixels, gray.pixels);
  EXPECT_EQ(DecodeGray(*EncodeWebp(gray, 100))->pixels, gray.pixels);
}

TEST(DecodeGrayTest, ShowsTheGroundWhereTheImageIsTransparent) {
  const Image image{3, 1, 4, {255, 255, 255, 0, 0, 0, 0, 0, 100, 100, 100, 51}};
  for (const std::string& file : {*EncodePng(image), *EncodeWebp(image, 100)}) {
    EXPECT_EQ(DecodeGray(file)->pixels, (std::vector<uint8_t>{0, 0, 20}));
    EXPECT_EQ(DecodeGray(file, {}, Ground::kWhite)->pixels, (std::vector<uint8_t>{255, 255, 224}));
    EXPECT_EQ(DecodeDepth(file)->values, (std::vector<float>{0, 0, 20 / 255.0F}));
  }
}

std::string Gray16Png(const std::string& rows, const std::string& chunks = "", int color_type = 0) {
  // A stored block of zlib, by hand: header, length and its complement, data, Adler-32.
  uint32_t a = 1;
  uint32_t b = 0;
  for (const char byte : rows) {
    a = (a + static_cast<uint8_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<uint16_t>(rows.size());
  std::string zlib("\x78\x01\x01", 3);
  zlib += {static_cast<char>(size), static_cast<char>(size >> 8), static_cast<char>(~size),
           static_cast<char>(~size >> 8)};
  zlib += rows;
  for (const uint32_t half : {b, a}) zlib += {static_cast<char>(half >> 8), static_cast<char>(half)};
  return PngHeader(2, 2, 16, color_type) + chunks + PngChunk("IDAT", zlib) + PngChunk("IEND", "");
}

TEST(DecodeDepthTest, KeepsAll16BitsOfGrayPngs) {
  const std::string rows("\0\x00\x00\x00\x01\0\x12\x34\xFF\xFF", 10);
  const auto depth = DecodeDepth(Gray16Png(rows));
  ASSERT_TRUE(depth.ok()) << depth.status();
  EXPECT_EQ(depth->width, 2);
  EXPECT_EQ(depth->height, 2);
  EXPECT_EQ(depth->values, (std::vector<float>{0.0F, 1 / 65535.0F, 0x1234 / 65535.0F, 1.0F}));
  EXPECT_EQ(DecodeImage(Gray16Png(rows))->pixels,
            (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0x12, 0x12, 0x12, 255, 255, 255}));
}

TEST(DecodeDepthTest, TurnsDepthMapsUprightToo) {
  const std::string rows("\0\x00\x00\x00\x01\0\x12\x34\xFF\xFF", 10);
  const auto depth = DecodeDepth(Gray16Png(rows, PngChunk("eXIf", ExifBlock(3))));
  ASSERT_TRUE(depth.ok());
  EXPECT_EQ(depth->values, (std::vector<float>{1.0F, 0x1234 / 65535.0F, 1 / 65535.0F, 0.0F}));
}

TEST(DecodeDepthTest, TakesTheColorKeyOf16BitMapsAsFar) {
  const std::string rows("\0\x00\x00\x00\x01\0\x12\x34\xFF\xFF", 10);
  const auto depth = DecodeDepth(Gray16Png(rows, PngChunk("tRNS", "\xFF\xFF")));
  ASSERT_TRUE(depth.ok());
  EXPECT_EQ(depth->values, (std::vector<float>{0.0F, 1 / 65535.0F, 0x1234 / 65535.0F, 0.0F}));
}

TEST(DecodeDepthTest, WeighsGrayOf16BitsWithItsAlpha) {
  // Two pixels of gray and alpha in each row, the second of them half transparent.
  const std::string row("\0\xFF\xFF\0\0\xFF\xFF\x7F\xFF", 9);
  const auto depth = DecodeDepth(Gray16Png(row + row, "", /*color_type=*/4));
  ASSERT_TRUE(depth.ok()) << depth.status();
  const float half = 0x7FFF / 65535.0F;
  EXPECT_EQ(depth->values, (std::vector<float>{0.0F, half, 0.0F, half}));
}

TEST(DecodeDepthTest, TakesOtherFilesAsTheirLuma) {
  const Image image = NoiseImage(30, 20, 3);
  for (const std::string& file : {*EncodePng(image), *EncodeJpeg(image, 90), *EncodeWebp(image, 90)}) {
    const Image gray = *DecodeGray(file);
    const auto depth = DecodeDepth(file);
    ASSERT_TRUE(depth.ok());
    ASSERT_EQ(depth->values.size(), gray.pixels.size());
    for (size_t i = 0; i < gray.pixels.size(); ++i) {
      ASSERT_EQ(depth->values[i], static_cast<float>(gray.pixels[i]) / 255.0F);
    }
  }
}

}  // namespace
}  // namespace kandinsky
