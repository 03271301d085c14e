#include "server/result_encoding.h"

#include <utility>

#include "base/status_macros.h"
#include "imaging/jpeg.h"
#include "imaging/png.h"
#include "imaging/webp.h"
#include "server/event_conversion.h"
#include "server/generation_parameters.h"

namespace kandinsky::server {
namespace {

absl::Status CheckRgb(const Image& image) {
  if (image.channels == 3 && image.pixels.size() == image.row_bytes() * static_cast<size_t>(image.height)) {
    return absl::OkStatus();
  }
  return absl::InternalError("the pipeline's image is not RGB");
}

absl::StatusOr<std::string> PngOf(const Image& image, uint64_t seed, const ResultOrigin& origin) {
  PngOptions options;
  if (origin.encoding.embed_parameters) {
    options.text.emplace_back("parameters", GenerationParameters(origin.request, seed, origin.model));
  }
  return EncodePng(image, options);
}

absl::StatusOr<std::string> FileOf(const Image& image, uint64_t seed, const ResultOrigin& origin) {
  switch (origin.encoding.format) {
    case v1::OUTPUT_FORMAT_JPEG:
      return EncodeJpeg(image, origin.encoding.quality);
    case v1::OUTPUT_FORMAT_WEBP:
      return EncodeWebp(image, origin.encoding.quality);
    case v1::OUTPUT_FORMAT_RAW_RGB:
      return std::string(image.pixels.begin(), image.pixels.end());
    default:
      return PngOf(image, seed, origin);
  }
}

const char* MimeTypeOf(v1::OutputFormat format) {
  switch (format) {
    case v1::OUTPUT_FORMAT_PNG:
      return "image/png";
    case v1::OUTPUT_FORMAT_JPEG:
      return "image/jpeg";
    case v1::OUTPUT_FORMAT_WEBP:
      return "image/webp";
    default:
      return "application/octet-stream";
  }
}

absl::Status AddImage(const FinishedImage& finished, const ResultOrigin& origin,
                      v1::GeneratedImage& encoded) {
  if (!finished.result.image.has_value()) return absl::InternalError("the pipeline made no image");
  const Image& image = *finished.result.image;
  RETURN_IF_ERROR(CheckRgb(image));
  encoded.set_width(image.width);
  encoded.set_height(image.height);
  if (origin.encoding.format == v1::OUTPUT_FORMAT_NONE) return absl::OkStatus();
  ASSIGN_OR_RETURN(*encoded.mutable_data(), FileOf(image, finished.seed, origin));
  encoded.set_mime_type(MimeTypeOf(origin.encoding.format));
  encoded.set_total_bytes(static_cast<int32_t>(encoded.data().size()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GeneratedImage> EncodeResult(const FinishedImage& finished, const ResultOrigin& origin) {
  v1::GeneratedImage encoded;
  encoded.set_index(finished.index);
  encoded.set_seed(finished.seed);
  encoded.set_format(origin.encoding.format);
  if (origin.encoding.format != v1::OUTPUT_FORMAT_LATENT) {
    RETURN_IF_ERROR(AddImage(finished, origin, encoded));
    return encoded;
  }
  if (!finished.result.latents.has_value()) return absl::InternalError("the pipeline made no latents");
  encoded.set_width(origin.request.width);
  encoded.set_height(origin.request.height);
  encoded.set_mime_type("application/octet-stream");
  *encoded.mutable_latents() = ToProto(*finished.result.latents);
  encoded.set_total_bytes(static_cast<int32_t>(encoded.latents().data().size()));
  return encoded;
}

absl::StatusOr<v1::PreviewEvent> EncodePreview(const PreviewImage& preview) {
  RETURN_IF_ERROR(CheckRgb(preview.image));
  v1::PreviewEvent encoded;
  ASSIGN_OR_RETURN(*encoded.mutable_data(), EncodePng(preview.image));
  encoded.set_image_index(preview.image_index);
  encoded.set_step(preview.step);
  encoded.set_mime_type("image/png");
  encoded.set_width(preview.image.width);
  encoded.set_height(preview.image.height);
  return encoded;
}

const char* FormatName(v1::OutputFormat format) {
  switch (format) {
    case v1::OUTPUT_FORMAT_JPEG:
      return "jpeg";
    case v1::OUTPUT_FORMAT_WEBP:
      return "webp";
    case v1::OUTPUT_FORMAT_RAW_RGB:
      return "raw_rgb";
    case v1::OUTPUT_FORMAT_LATENT:
      return "latent";
    case v1::OUTPUT_FORMAT_NONE:
      return "none";
    default:
      return "png";
  }
}

}  // namespace kandinsky::server
