#include "server/request_inputs.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "imaging/depth_map.h"
#include "imaging/resize.h"
#include "server/field_checks.h"

namespace kandinsky::server {
namespace {

constexpr int64_t kRgb = 3;
constexpr int64_t kFloatBytes = sizeof(float);

int64_t AreaOf(const EncodedImage& image) { return int64_t{image.info.width} * image.info.height; }
int64_t AreaOf(ImageSize size) { return int64_t{size.width} * size.height; }

// The most pixels between the passes of resizing, of which either may be the first (RunsVerticalFirst).
int64_t BetweenPasses(const EncodedImage& image, ImageSize size) {
  const int rows = std::min(size.height, image.info.height);
  return std::max(int64_t{size.width} * image.info.height, int64_t{image.info.width} * rows);
}

// What a decoder may need: RGBA before it is laid over its ground, and a second buffer when the image
// is to be turned. A JPEG of several scans has all its coefficients, of up to four components, in memory
// besides; its decoder allows itself no more than the bound.
int64_t DecodingBytes(const EncodedImage& image) {
  constexpr int64_t kTwoBuffers = int64_t{2} * 4;
  constexpr int64_t kCoefficients = int64_t{4} * 2;
  constexpr int64_t kMostJpegBytes = int64_t{100} << 20;
  const int64_t area = AreaOf(image);
  const bool jpeg = image.info.format == ImageFormat::kJpeg;
  return kTwoBuffers * area + (jpeg ? std::min(kCoefficients * area, kMostJpegBytes) : 0);
}

// What becomes of the image at once: it is decoded, and then resized.
int64_t PassingBytes(const EncodedImage& image, ImageSize size, int64_t channels) {
  return std::max(DecodingBytes(image), (AreaOf(image) + BetweenPasses(image, size)) * channels);
}

InputImage Share(Image image) { return std::make_shared<const Image>(std::move(image)); }

// Three channels that are all `values`.
SharedFloatTensor Hint(std::vector<float> values, int64_t height, int64_t width) {
  const size_t area = values.size();
  values.resize(kRgb * area);
  for (size_t channel = 1; channel < kRgb; ++channel) {
    std::copy_n(values.begin(), area, values.begin() + static_cast<ptrdiff_t>(channel * area));
  }
  return std::make_shared<const FloatTensor>(
      FloatTensor{.shape = {kRgb, height, width}, .values = std::move(values)});
}

}  // namespace

RequestInput ResizedImage(const EncodedImage& image, ImageSize size, PlaceImage place) {
  return {.field = image.field,
          .passing_bytes = PassingBytes(image, size, kRgb),
          .kept_bytes = AreaOf(size) * kRgb,
          .prepare = [image, size, place = std::move(place)](std::vector<GenerationRequest>& requests) {
            ASSIGN_OR_RETURN(const Image decoded, DecodeImage(image.bytes, image.limits));
            const ResizeOptions options = {.filter = ResampleFilter::kBicubic, .reducing_gap = true};
            ASSIGN_OR_RETURN(Image resized, Resize(decoded, size.width, size.height, options));
            place(requests, Share(std::move(resized)));
            return absl::OkStatus();
          }};
}

RequestInput ImageForClip(const EncodedImage& image, const Capabilities& capabilities, PlaceImage place) {
  const int edge = capabilities.clip_image_size;
  const bool squeezes = capabilities.clip_squeezes;
  return {
      .field = image.field,
      .passing_bytes = PassingBytes(image, {edge, edge}, kRgb),
      .kept_bytes = int64_t{edge} * edge * kRgb,
      .prepare = [image, edge, squeezes, place = std::move(place)](std::vector<GenerationRequest>& requests) {
        ASSIGN_OR_RETURN(const Image decoded, DecodeImage(image.bytes, image.limits));
        ASSIGN_OR_RETURN(Image square, squeezes ? Resize(decoded, edge, edge) : CropForClip(decoded, edge));
        place(requests, Share(std::move(square)));
        return absl::OkStatus();
      }};
}

RequestInput ResizedMask(const EncodedImage& image, ImageSize size, bool keeps_white, PlaceImage place) {
  const auto prepare = [image, size, keeps_white,
                        place = std::move(place)](std::vector<GenerationRequest>& requests) {
    const Ground not_painted = keeps_white ? Ground::kWhite : Ground::kBlack;
    ASSIGN_OR_RETURN(const Image decoded, DecodeGray(image.bytes, image.limits, not_painted));
    ASSIGN_OR_RETURN(Image resized,
                     Resize(decoded, size.width, size.height, {.filter = ResampleFilter::kLanczos}));
    if (keeps_white) {
      for (uint8_t& value : resized.pixels) value = static_cast<uint8_t>(255 - value);
    }
    place(requests, Share(std::move(resized)));
    return absl::OkStatus();
  };
  return {.field = image.field,
          .passing_bytes = PassingBytes(image, size, /*channels=*/1),
          .kept_bytes = AreaOf(size),
          .prepare = prepare};
}

RequestInput DepthOfImage(const EncodedImage& image, ImageSize size, PlaceTensor place) {
  return {.field = image.field,
          .passing_bytes = AreaOf(image) * kFloatBytes +
                           std::max(DecodingBytes(image), BetweenPasses(image, size) * kFloatBytes),
          .kept_bytes = AreaOf(size) * kRgb * kFloatBytes,
          .prepare = [image, size, place = std::move(place)](std::vector<GenerationRequest>& requests) {
            ASSIGN_OR_RETURN(DepthMap decoded, DecodeDepth(image.bytes, image.limits));
            ASSIGN_OR_RETURN(DepthMap depth, ResizeDepth(std::move(decoded), size.width, size.height));
            place(requests, Hint(std::move(depth.values), depth.height, depth.width));
            return absl::OkStatus();
          }};
}

RequestInput TensorAsIs(const std::string& field, const v1::FloatTensor& tensor, PlaceTensor place) {
  return {.field = field,
          .passing_bytes = 0,
          .kept_bytes = static_cast<int64_t>(tensor.data().size()),
          .prepare = [&tensor, place = std::move(place)](std::vector<GenerationRequest>& requests) {
            place(requests,
                  std::make_shared<const FloatTensor>(FloatTensor{
                      .shape = {tensor.shape().begin(), tensor.shape().end()}, .values = ValuesOf(tensor)}));
            return absl::OkStatus();
          }};
}

RequestInput DepthOfTensor(const std::string& field, const v1::FloatTensor& tensor, PlaceTensor place) {
  if (tensor.shape_size() == 3) return TensorAsIs(field, tensor, std::move(place));
  return {.field = field,
          .passing_bytes = static_cast<int64_t>(tensor.data().size()),
          .kept_bytes = static_cast<int64_t>(tensor.data().size()) * kRgb,
          .prepare = [&tensor, place = std::move(place)](std::vector<GenerationRequest>& requests) {
            place(requests, Hint(ValuesOf(tensor), tensor.shape(0), tensor.shape(1)));
            return absl::OkStatus();
          }};
}

}  // namespace kandinsky::server
