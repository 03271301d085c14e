#include "imaging/webp_decoder.h"

#include <webp/decode.h>

#include "base/status_macros.h"
#include "imaging/orientation.h"

namespace kandinsky {
namespace {

constexpr size_t kChunkHeaderBytes = 8;  // name, length
constexpr size_t kFileHeaderBytes = 12;  // "RIFF", length, "WEBP"
constexpr uint8_t kHasExif = 0x08;       // flags of VP8X
constexpr uint8_t kHasXmp = 0x04;
constexpr uint8_t kHasAlpha = 0x10;

absl::Status Damaged() { return CannotDecode("WebP", "damaged or truncated"); }

const uint8_t* Data(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

size_t GetUint32(std::string_view bytes, size_t at) {
  size_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | Data(bytes)[at + i];
  return value;
}

// The file as its header tells its length; what is behind that belongs to others. Nothing if it is longer
// than `bytes`.
std::string_view WithoutTrailer(std::string_view bytes) {
  const size_t end = kChunkHeaderBytes + GetUint32(bytes, 4);
  return end < kFileHeaderBytes || end > bytes.size() ? std::string_view() : bytes.substr(0, end);
}

// Whether pixels may be transparent. Alpha beside a lossy image counts if the extended header announces it.
bool HasAlpha(std::string_view bytes, const WebPBitstreamFeatures& features) {
  constexpr size_t kFlags = kFileHeaderBytes + kChunkHeaderBytes;
  constexpr int kLossy = 1;
  if (features.has_alpha == 0) return false;
  if (features.format != kLossy || bytes.substr(kFileHeaderBytes, 4) != "VP8X") return true;
  return (Data(bytes)[kFlags] & kHasAlpha) != 0;
}

// Of several chunks of one name the first counts, if the extended header announces it.
int FindOrientation(std::string_view bytes) {
  size_t at = kFileHeaderBytes;
  uint8_t announced = 0;
  std::string_view exif;
  std::string_view xmp;
  while (bytes.size() - at >= kChunkHeaderBytes) {
    const std::string_view name = bytes.substr(at, 4);
    const size_t length = GetUint32(bytes, at + 4);
    if (length > bytes.size() - at - kChunkHeaderBytes) break;
    const std::string_view data = bytes.substr(at + kChunkHeaderBytes, length);
    if (name == "VP8X" && !data.empty()) announced = Data(data)[0];
    if (name == "EXIF" && exif.empty() && (announced & kHasExif) != 0) exif = data;
    if (name == "XMP " && xmp.empty() && (announced & kHasXmp) != 0) xmp = data;
    const size_t padded = length + length % 2;
    if (padded > bytes.size() - at - kChunkHeaderBytes) break;
    at += kChunkHeaderBytes + padded;
  }
  return ReadOrientation(exif, xmp);
}

// Frees what a decode that was interrupted leaves in the configuration.
struct DecoderConfig {
  DecoderConfig() : valid(WebPInitDecoderConfig(&config) != 0) {}
  ~DecoderConfig() { WebPFreeDecBuffer(&config.output); }
  DecoderConfig(const DecoderConfig&) = delete;
  DecoderConfig& operator=(const DecoderConfig&) = delete;

  WebPDecoderConfig config{};
  bool valid;
};

}  // namespace

bool HasWebpSignature(std::string_view bytes) {
  return bytes.size() >= kFileHeaderBytes && bytes.substr(0, 4) == "RIFF" && bytes.substr(8, 4) == "WEBP";
}

absl::StatusOr<EncodedHeader> ReadWebpHeader(std::string_view bytes) {
  bytes = WithoutTrailer(bytes);
  if (bytes.empty()) return Damaged();
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(Data(bytes), bytes.size(), &features) != VP8_STATUS_OK) return Damaged();
  if (features.has_animation != 0) return CannotDecode("WebP", "animations are not supported");
  if (features.width < 1 || features.height < 1) return CannotDecode("WebP", "impossible size");
  return EncodedHeader{features.width, features.height, FindOrientation(bytes)};
}

absl::StatusOr<Image> DecodeWebpPixels(std::string_view bytes, const EncodedHeader& header) {
  bytes = WithoutTrailer(bytes);
  DecoderConfig decoder;
  WebPDecoderConfig& config = decoder.config;
  if (!decoder.valid || WebPGetFeatures(Data(bytes), bytes.size(), &config.input) != VP8_STATUS_OK) {
    return Damaged();
  }
  const bool alpha = HasAlpha(bytes, config.input);
  ASSIGN_OR_RETURN(Image image, AllocateImage(header.width, header.height, alpha ? 4 : 3));
  config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.pixels.data();
  config.output.u.RGBA.stride = static_cast<int>(image.row_bytes());
  config.output.u.RGBA.size = image.pixels.size();
  const VP8StatusCode status = WebPDecode(Data(bytes), bytes.size(), &config);
  if (status == VP8_STATUS_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError("no memory for the WebP decoder");
  }
  if (status != VP8_STATUS_OK) return Damaged();
  return image;
}

}  // namespace kandinsky
