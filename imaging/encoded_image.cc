#include "imaging/encoded_image.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/encoded_header.h"
#include "imaging/jpeg_decoder.h"
#include "imaging/pixel_conversion.h"
#include "imaging/png_decoder.h"
#include "imaging/png_file.h"
#include "imaging/webp_decoder.h"

namespace kandinsky {
namespace {

uint8_t ValueOf(Ground ground) { return ground == Ground::kWhite ? 255 : 0; }

// A file whose header was read and found within the limits.
struct AcceptedFile {
  ImageFormat format;
  EncodedHeader header;
};

absl::StatusOr<ImageFormat> TellFormat(std::string_view bytes) {
  if (HasPngSignature(bytes)) return ImageFormat::kPng;
  if (HasJpegSignature(bytes)) return ImageFormat::kJpeg;
  if (HasWebpSignature(bytes)) return ImageFormat::kWebp;
  return absl::InvalidArgumentError("not a PNG, JPEG or WebP file");
}

absl::StatusOr<EncodedHeader> ReadHeader(ImageFormat format, std::string_view bytes) {
  switch (format) {
    case ImageFormat::kPng:
      return ReadPngHeader(bytes);
    case ImageFormat::kJpeg:
      return ReadJpegHeader(bytes);
    case ImageFormat::kWebp:
      return ReadWebpHeader(bytes);
  }
  return absl::InternalError("unknown image format");
}

absl::StatusOr<Image> DecodePixels(const AcceptedFile& file, std::string_view bytes) {
  switch (file.format) {
    case ImageFormat::kPng:
      return DecodePngPixels(bytes, file.header);
    case ImageFormat::kJpeg:
      return DecodeJpegPixels(bytes, file.header);
    case ImageFormat::kWebp:
      return DecodeWebpPixels(bytes, file.header);
  }
  return absl::InternalError("unknown image format");
}

absl::StatusOr<AcceptedFile> Accept(std::string_view bytes, const DecodeLimits& limits) {
  if (bytes.size() > limits.max_encoded_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("encoded image is larger than ", limits.max_encoded_bytes, " bytes"));
  }
  ASSIGN_OR_RETURN(const ImageFormat format, TellFormat(bytes));
  ASSIGN_OR_RETURN(const EncodedHeader header, ReadHeader(format, bytes));
  if (int64_t{header.width} * header.height > limits.max_pixels) {
    return absl::InvalidArgumentError(absl::StrCat("too many pixels: more than ", limits.max_pixels));
  }
  if (std::max(header.width, header.height) > kMaxImageSide) {
    return absl::InvalidArgumentError(absl::StrCat("a side is longer than ", kMaxImageSide, " pixels"));
  }
  return AcceptedFile{format, header};
}

absl::StatusOr<Image> DecodeAccepted(const AcceptedFile& file, std::string_view bytes) {
  ASSIGN_OR_RETURN(Image stored, DecodePixels(file, bytes));
  ASSIGN_OR_RETURN(Image upright, ApplyOrientation(std::move(stored), file.header.orientation));
  return upright;
}

absl::StatusOr<Image> GrayOver(uint8_t background, Image image) {
  if (image.channels == 1) return image;
  ASSIGN_OR_RETURN(Image rgb, ToRgbOver(background, std::move(image)));
  return ToLuma(std::move(rgb));
}

// Of a pixel of 2 bytes, or 4 with alpha, high bytes first: value times alpha, 0 to 1.
float DepthOfPixel(const uint8_t* pixel, int bytes) {
  constexpr int kMost = 65535;
  const int value = pixel[0] << 8 | pixel[1];
  const int alpha = bytes == 4 ? pixel[2] << 8 | pixel[3] : kMost;
  if (alpha == kMost) return static_cast<float>(value) / kMost;
  return static_cast<float>(double{1} * value * alpha / kMost / kMost);
}

}  // namespace

absl::StatusOr<ImageInfo> ProbeImage(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ImageInfo info{file.format, file.header.width, file.header.height};
  if (file.header.orientation >= 5) std::swap(info.width, info.height);
  return info;
}

absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits, Ground ground) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  return ToRgbOver(ValueOf(ground), std::move(image));
}

absl::StatusOr<Image> DecodeGray(std::string_view bytes, const DecodeLimits& limits, Ground ground) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  return GrayOver(ValueOf(ground), std::move(image));
}

absl::StatusOr<DepthMap> DecodeDepth(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  if (file.header.gray16) {
    ASSIGN_OR_RETURN(Image samples, DecodePngGray16(bytes, file.header));
    ASSIGN_OR_RETURN(const Image upright, ApplyOrientation(std::move(samples), file.header.orientation));
    ASSIGN_OR_RETURN(DepthMap depth, AllocateDepthMap(upright.width, upright.height));
    const uint8_t* pixel = upright.pixels.data();
    for (float& value : depth.values) {
      value = DepthOfPixel(pixel, upright.channels);
      pixel += upright.channels;
    }
    return depth;
  }
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  ASSIGN_OR_RETURN(const Image gray, GrayOver(ValueOf(Ground::kBlack), std::move(image)));
  ASSIGN_OR_RETURN(DepthMap depth, AllocateDepthMap(gray.width, gray.height));
  for (size_t i = 0; i < depth.values.size(); ++i) {
    depth.values[i] = static_cast<float>(gray.pixels[i]) / 255.0F;
  }
  return depth;
}

}  // namespace kandinsky
