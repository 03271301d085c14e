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
#include "imaging/webp_decoder.h"

namespace kandinsky {
namespace {

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

absl::StatusOr<Image> GreyOf(Image image) {
  if (image.channels == 1) return image;
  ASSIGN_OR_RETURN(Image rgb, ToRgbOnWhite(std::move(image)));
  return ToLuma(std::move(rgb));
}

}  // namespace

absl::StatusOr<ImageInfo> ProbeImage(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ImageInfo info{file.format, file.header.width, file.header.height};
  if (file.header.orientation >= 5) std::swap(info.width, info.height);
  return info;
}

absl::StatusOr<Image> DecodeImage(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  return ToRgbOnWhite(std::move(image));
}

absl::StatusOr<Image> DecodeGrey(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  return GreyOf(std::move(image));
}

absl::StatusOr<DepthMap> DecodeDepth(std::string_view bytes, const DecodeLimits& limits) {
  ASSIGN_OR_RETURN(const AcceptedFile file, Accept(bytes, limits));
  if (file.header.grey16) {
    ASSIGN_OR_RETURN(Image samples, DecodePngGrey16(bytes, file.header));
    ASSIGN_OR_RETURN(const Image upright, ApplyOrientation(std::move(samples), file.header.orientation));
    ASSIGN_OR_RETURN(DepthMap depth, AllocateDepthMap(upright.width, upright.height));
    for (size_t i = 0; i < depth.values.size(); ++i) {
      const int value = upright.pixels[2 * i] << 8 | upright.pixels[2 * i + 1];
      depth.values[i] = static_cast<float>(value) / 65535.0F;
    }
    return depth;
  }
  ASSIGN_OR_RETURN(Image image, DecodeAccepted(file, bytes));
  ASSIGN_OR_RETURN(const Image grey, GreyOf(std::move(image)));
  ASSIGN_OR_RETURN(DepthMap depth, AllocateDepthMap(grey.width, grey.height));
  for (size_t i = 0; i < depth.values.size(); ++i) {
    depth.values[i] = static_cast<float>(grey.pixels[i]) / 255.0F;
  }
  return depth;
}

}  // namespace kandinsky
