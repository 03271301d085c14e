#include "imaging/jpeg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "imaging/encoded_image.h"
#include "tests/imaging/test_images.h"

namespace kandinsky {
namespace {

// How a JPEG is made where EncodeJpeg makes none such.
struct ScanOptions {
  int components = 1;
  std::vector<jpeg_scan_info> scans;  // none: the usual progression
};

std::string ProgressiveJpeg(const Image& image, const ScanOptions& options) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's type
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = options.components;
  info.in_color_space =
      options.components == 1 ? JCS_GRAYSCALE : (options.components == 3 ? JCS_RGB : JCS_CMYK);
  jpeg_set_defaults(&info);
  for (int c = 0; c < options.components; ++c)
    info.comp_info[c].h_samp_factor = info.comp_info[c].v_samp_factor = 1;
  jpeg_simple_progression(&info);
  if (!options.scans.empty()) {
    info.scan_info = options.scans.data();
    info.num_scans = static_cast<int>(options.scans.size());
  }
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.pixels.data()) + info.next_scanline * image.row_bytes();
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string jpeg(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return jpeg;
}

// `count` scans of a gray image, 65 at least: one for every coefficient, and then those that refine them.
std::vector<jpeg_scan_info> ManyScans(int count) {
  std::vector<jpeg_scan_info> scans = {{1, {0, 0, 0, 0}, 0, 0, 0, 0}};
  for (int k = 1; k < 64; ++k) scans.push_back({1, {0, 0, 0, 0}, k, k, 0, 1});
  for (int k = 1; k < count - 64; ++k) scans.push_back({1, {0, 0, 0, 0}, k, k, 1, 0});
  scans.push_back({1, {0, 0, 0, 0}, count - 64, 63, 1, 0});
  return scans;
}

std::string WithSize(std::string jpeg, int width, int height) {
  const size_t at = jpeg.find(std::string("\xFF\xC2\0", 3));
  EXPECT_NE(at, std::string::npos);
  jpeg[at + 5] = static_cast<char>(height >> 8);
  jpeg[at + 6] = static_cast<char>(height);
  jpeg[at + 7] = static_cast<char>(width >> 8);
  jpeg[at + 8] = static_cast<char>(width);
  return jpeg;
}

std::string ErrorOf(const std::string& file) {
  const absl::Status status = DecodeImage(file).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

// The bytes of the frame header that tell how often components are sampled.
int LumaSampling(const std::string& jpeg) {
  const size_t at = jpeg.find(std::string("\xFF\xC0\0", 3));
  EXPECT_NE(at, std::string::npos);
  return static_cast<uint8_t>(jpeg[at + 11]);
}

TEST(EncodeJpegTest, ComesBackCloseToTheOriginal) {
  for (const auto& [width, height] : {std::pair{256, 192}, {1, 1}, {17, 33}, {1, 100}}) {
    for (const int channels : {1, 3}) {
      const Image image = PhotoLikeImage(width, height, channels);
      for (const auto& [quality, least] : {std::pair{50, 28}, {80, 31}, {90, 33}, {95, 36}, {100, 40}}) {
        const auto jpeg = EncodeJpeg(image, quality);
        ASSERT_TRUE(jpeg.ok()) << jpeg.status();
        const auto decoded = channels == 1 ? DecodeGray(*jpeg) : DecodeImage(*jpeg);
        ASSERT_TRUE(decoded.ok()) << decoded.status();
        EXPECT_GT(Psnr(*decoded, image), least)
            << width << "x" << height << "x" << channels << " " << quality;
      }
    }
  }
}

TEST(EncodeJpegTest, SizeGrowsWithQuality) {
  const Image image = PhotoLikeImage(256, 192, 3);
  size_t last = 0;
  for (const int quality : {1, 30, 60, 89, 90, 100}) {
    const size_t size = EncodeJpeg(image, quality)->size();
    EXPECT_GT(size, last) << quality;
    last = size;
  }
  EXPECT_LT(EncodeJpeg(image, 80)->size(), image.pixels.size() / 8);
}

TEST(EncodeJpegTest, StoresFullColorFromQuality90On) {
  const Image image = PhotoLikeImage(32, 32, 3);
  EXPECT_EQ(LumaSampling(*EncodeJpeg(image, 89)), 0x22);
  EXPECT_EQ(LumaSampling(*EncodeJpeg(image, 90)), 0x11);
  EXPECT_EQ(LumaSampling(*EncodeJpeg(PhotoLikeImage(32, 32, 1), 50)), 0x11);
}

TEST(EncodeJpegTest, WritesTheSameBytesEveryTime) {
  const Image image = NoiseImage(200, 150, 3);  // larger than the first output buffer
  EXPECT_GT(EncodeJpeg(image, 100)->size(), size_t{1} << 16);
  EXPECT_EQ(*EncodeJpeg(image, 100), *EncodeJpeg(image, 100));
}

TEST(EncodeJpegTest, RefusesWhatJpegCannotHold) {
  const Image image = NoiseImage(4, 4, 3);
  for (const int quality : {0, 101, -1}) {
    EXPECT_EQ(EncodeJpeg(image, quality).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(EncodeJpeg(NoiseImage(4, 4, 4), 80).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeJpeg(Image{4, 4, 3, {}}, 80).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeJpeg(NoiseImage(65501, 1, 1), 80).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(EncodeJpeg(NoiseImage(65500, 1, 1), 80).ok());
}

TEST(DecodeJpegTest, ReadsUpTo100Scans) {
  const Image image = PhotoLikeImage(64, 48, 1);
  const std::string jpeg = ProgressiveJpeg(image, {.components = 1, .scans = ManyScans(100)});
  const auto decoded = DecodeGray(jpeg);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_GT(Psnr(*decoded, image), 25);
  EXPECT_EQ(ErrorOf(ProgressiveJpeg(image, {.components = 1, .scans = ManyScans(101)})),
            "JPEG cannot be decoded: too many scans");
}

TEST(DecodeJpegTest, RefusesScansThatNeedTooMuchMemory) {
  const std::string four = ProgressiveJpeg(PhotoLikeImage(32, 32, 4), {.components = 4, .scans = {}});
  EXPECT_TRUE(DecodeImage(four).ok());
  EXPECT_EQ(ErrorOf(WithSize(four, 4000, 4000)), "JPEG cannot be decoded: its scans need too much memory");
  // Three components of the largest image fit; what the file lacks is data.
  const std::string three = ProgressiveJpeg(PhotoLikeImage(32, 32, 3), {.components = 3, .scans = {}});
  EXPECT_EQ(ErrorOf(WithSize(three, 4000, 4000)), "JPEG cannot be decoded: damaged or truncated");
}

TEST(DecodeJpegTest, RefusesUnsupportedFrames) {
  const std::string jpeg = *EncodeJpeg(PhotoLikeImage(32, 32, 3), 80);
  const size_t frame = jpeg.find(std::string("\xFF\xC0\0", 3));
  const auto changed = [&](size_t offset, int value) {
    std::string copy = jpeg;
    copy[frame + offset] = static_cast<char>(value);
    return ErrorOf(copy);
  };
  for (const int marker : {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF}) {
    EXPECT_EQ(changed(1, marker), "JPEG cannot be decoded: unsupported coding process") << marker;
  }
  EXPECT_EQ(changed(4, 12), "JPEG cannot be decoded: not 8 bits per sample");
  EXPECT_EQ(changed(9, 2), "JPEG cannot be decoded: not 1, 3 or 4 components");
  std::string flat = jpeg;
  flat[frame + 5] = flat[frame + 6] = 0;
  EXPECT_EQ(ErrorOf(flat), "JPEG cannot be decoded: impossible size");
}

TEST(DecodeJpegTest, RefusesASecondFrameHeader) {
  const std::string jpeg = *EncodeJpeg(PhotoLikeImage(32, 32, 3), 80);
  const size_t frame = jpeg.find(std::string("\xFF\xC0\0", 3));
  const std::string header = jpeg.substr(frame, 19);
  std::string before = jpeg;
  before.insert(frame, header);
  EXPECT_EQ(ErrorOf(before), "JPEG cannot be decoded: damaged or truncated");
  std::string after = jpeg;
  after.insert(after.size() - 2, header);
  EXPECT_EQ(ErrorOf(after), "JPEG cannot be decoded: damaged or truncated");
}

TEST(DecodeJpegTest, TakesWarningsOfLostPixelsAsDamageAndNoOthers) {
  const std::string jpeg = *EncodeJpeg(NoiseImage(64, 64, 3), 80);
  std::string stray = jpeg;
  stray.insert(stray.size() - 2, "stray");  // libjpeg: "extraneous bytes before marker"
  const auto image = DecodeImage(stray);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->pixels, DecodeImage(jpeg)->pixels);
  std::string unknown_restart = jpeg;
  unknown_restart.insert(unknown_restart.size() - 200, "\xFF\xD3");
  EXPECT_EQ(ErrorOf(unknown_restart), "JPEG cannot be decoded: damaged or truncated");
}

}  // namespace
}  // namespace kandinsky
