#include "imaging/webp.h"

#include <webp/encode.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/pixel_conversion.h"

namespace kandinsky {
namespace {

constexpr int kLossless = 100;
// libwebp's scale from 0 (fast) to 9 (small).
constexpr int kLosslessEffort = 2;

// Owns libwebp's structures.
struct WebpWriter {
  WebpWriter() {
    WebPMemoryWriterInit(&output);
    valid = WebPConfigInit(&config) != 0 && WebPPictureInit(&picture) != 0;
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &output;
  }
  ~WebpWriter() {
    WebPPictureFree(&picture);
    WebPMemoryWriterClear(&output);
  }
  WebpWriter(const WebpWriter&) = delete;
  WebpWriter& operator=(const WebpWriter&) = delete;

  WebPConfig config{};
  WebPPicture picture{};
  WebPMemoryWriter output{};
  bool valid = false;
};

bool Import(const Image& image, WebPPicture& picture) {
  picture.width = image.width;
  picture.height = image.height;
  const int stride = static_cast<int>(image.row_bytes());
  return image.channels == 4 ? WebPPictureImportRGBA(&picture, image.pixels.data(), stride) != 0
                             : WebPPictureImportRGB(&picture, image.pixels.data(), stride) != 0;
}

absl::StatusOr<std::string> EncodeColor(const Image& image, int quality) {
  WebpWriter writer;
  if (!writer.valid) return absl::InternalError("libwebp has another version than its headers");
  if (quality == kLossless) {
    if (WebPConfigLosslessPreset(&writer.config, kLosslessEffort) == 0) {
      return absl::InternalError("libwebp refused its preset");
    }
    writer.config.exact = 1;
    writer.picture.use_argb = 1;
  } else {
    writer.config.quality = static_cast<float>(quality);
  }
  if (!Import(image, writer.picture) || WebPEncode(&writer.config, &writer.picture) == 0) {
    if (writer.picture.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
        writer.picture.error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY) {
      return absl::ResourceExhaustedError("no memory for the WebP encoder");
    }
    return absl::InternalError("WebP compression failed");
  }
  return std::string(reinterpret_cast<const char*>(writer.output.mem), writer.output.size);
}

}  // namespace

absl::StatusOr<std::string> EncodeWebp(const Image& image, int quality) {
  RETURN_IF_ERROR(CheckImage(image));
  if (std::max(image.width, image.height) > WEBP_MAX_DIMENSION) {
    return absl::InvalidArgumentError(
        absl::StrCat("a side of a WebP is at most ", WEBP_MAX_DIMENSION, " pixels"));
  }
  if (quality < 1 || quality > 100) {
    return absl::InvalidArgumentError(absl::StrCat("WebP quality ", quality, " is not in 1..100"));
  }
  if (image.channels != 1) return EncodeColor(image, quality);
  ASSIGN_OR_RETURN(const Image rgb, ToRgbOver(0, image));
  return EncodeColor(rgb, quality);
}

}  // namespace kandinsky
