#include "imaging/resize.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/resample.h"

namespace kandinsky {
namespace {

constexpr int64_t kMaxResultBytes = int64_t{256} << 20;

absl::Status CheckSides(const Image& image, int width, int height) {
  RETURN_IF_ERROR(CheckImage(image));
  if (std::min(width, height) < 1 || std::max(width, height) > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resize to ", width, "x", height, ": sides are 1 to ", kMaxImageSide));
  }
  if (int64_t{width} * height * image.channels > kMaxResultBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resize to ", width, "x", height, ": more than ", kMaxResultBytes, " bytes"));
  }
  if (std::max(image.width, image.height) > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resize an image with a side of more than ", kMaxImageSide, " pixels"));
  }
  return absl::OkStatus();
}

// Pillow skips a pass that has nothing to do.
bool IsIdentity(const AxisRequest& axis) {
  return axis.output_size == axis.source_size && axis.window_size == axis.output_size &&
         axis.source_extent == static_cast<float>(axis.source_size);
}

// What lies between the passes is no larger than the image or the result.
absl::StatusOr<Image> ResampleBoth(const Image& image, const AxisRequest& x, const AxisRequest& y) {
  if (IsIdentity(y)) return ResampleRows(image, PlanAxis(x), 0, image.height);
  const ResampleAxis vertical = PlanAxis(y);
  if (IsIdentity(x)) return ResampleColumns(image, vertical, 0);
  if (RunsVerticalFirst(x, y)) {
    ASSIGN_OR_RETURN(const Image between, ResampleColumns(image, vertical, 0));
    return ResampleRows(between, PlanAxis(x), 0, between.height);
  }
  const int first_row = vertical.source_begin();
  ASSIGN_OR_RETURN(const Image between, ResampleRows(image, PlanAxis(x), first_row, vertical.source_end()));
  return ResampleColumns(between, vertical, first_row);
}

// MULDIV255 of Pillow: a * b / 255 to nearest.
uint8_t MultiplyBytes(uint32_t a, uint32_t b) {
  const uint32_t product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

void PremultiplyAlpha(Image& rgba) {
  for (size_t i = 0; i < rgba.pixels.size(); i += 4) {
    uint8_t* pixel = rgba.pixels.data() + i;
    for (int c = 0; c < 3; ++c) pixel[c] = MultiplyBytes(pixel[c], pixel[3]);
  }
}

void DivideByAlpha(Image& rgba) {
  for (size_t i = 0; i < rgba.pixels.size(); i += 4) {
    uint8_t* pixel = rgba.pixels.data() + i;
    if (pixel[3] == 0 || pixel[3] == 255) continue;
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(std::min(255 * pixel[c] / pixel[3], 255));
  }
}

// Every channel by itself.
absl::StatusOr<Image> ResizeChannels(const Image& image, std::pair<int, int> size,
                                     const ResizeOptions& options) {
  // The whole of `from`, of which the size of `image` counts: of its last, incomplete blocks only a part.
  const auto resample = [&](const Image& from, std::pair<int, int> factors) {
    const auto axis = [&](int source_size, int source_extent, int factor, int output) {
      const double extent = static_cast<double>(source_extent) / factor;
      return AxisRequest{options.filter, source_size, static_cast<float>(extent), output, 0, output};
    };
    return ResampleBoth(from, axis(from.width, image.width, factors.first, size.first),
                        axis(from.height, image.height, factors.second, size.second));
  };
  if (!options.reducing_gap) return resample(image, {1, 1});
  const std::pair<int, int> factors = {std::max(image.width / size.first, 1),
                                       std::max(image.height / size.second, 1)};
  if (factors == std::pair(1, 1)) return resample(image, factors);
  ASSIGN_OR_RETURN(const Image reduced, ReduceByBlocks(image, factors.first, factors.second));
  return resample(reduced, factors);
}

}  // namespace

absl::StatusOr<Image> Resize(const Image& image, int width, int height, const ResizeOptions& options) {
  RETURN_IF_ERROR(CheckSides(image, width, height));
  if (image.width == width && image.height == height) return image;
  if (image.channels != 4) return ResizeChannels(image, {width, height}, options);
  Image premultiplied = image;
  PremultiplyAlpha(premultiplied);
  ASSIGN_OR_RETURN(Image resized, ResizeChannels(premultiplied, {width, height}, options));
  DivideByAlpha(resized);
  return resized;
}

absl::StatusOr<Image> CropForClip(const Image& rgb, int size) {
  RETURN_IF_ERROR(CheckSides(rgb, size, size));
  if (rgb.channels != 3) return absl::InvalidArgumentError("an image for CLIP must be RGB");
  const int shorter = std::min(rgb.width, rgb.height);
  const auto scaled = [&](int side) { return static_cast<int64_t>(size) * side / shorter; };
  if (scaled(std::max(rgb.width, rgb.height)) > (int64_t{1} << 30)) {
    return absl::InvalidArgumentError("image is too long and narrow to be cropped for CLIP");
  }
  const auto axis = [&](int side) {
    const int output = static_cast<int>(scaled(side));
    return AxisRequest{ResampleFilter::kBicubic, side, static_cast<float>(side), output,
                       (output - size) / 2,      size};
  };
  return ResampleBoth(rgb, axis(rgb.width), axis(rgb.height));
}

}  // namespace kandinsky
