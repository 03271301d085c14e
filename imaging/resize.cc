#include "imaging/resize.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "imaging/resample.h"

namespace kandinsky {
namespace {

constexpr size_t kMaxBytesBetweenPasses = size_t{256} << 20;

absl::Status CheckSides(const Image& image, int width, int height) {
  RETURN_IF_ERROR(CheckImage(image));
  if (std::min(width, height) < 1 || std::max(width, height) > kMaxImageSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resize to ", width, "x", height, ": sides are 1 to ", kMaxImageSide));
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

absl::StatusOr<Image> ResampleBoth(const Image& image, const AxisRequest& x, const AxisRequest& y) {
  const ResampleAxis vertical = PlanAxis(y);
  const int row_begin = IsIdentity(y) ? 0 : vertical.source_begin();
  const int row_end = IsIdentity(y) ? image.height : vertical.source_end();
  if (IsIdentity(x)) return ResampleColumns(image, vertical, 0);
  const size_t row_bytes = static_cast<size_t>(x.window_size) * static_cast<size_t>(image.channels);
  if (row_bytes * static_cast<size_t>(std::max(row_end - row_begin, y.window_size)) >
      kMaxBytesBetweenPasses) {
    return absl::InvalidArgumentError(
        "image is too long and narrow, or its new size too large, to be resized");
  }
  ASSIGN_OR_RETURN(Image between, ResampleRows(image, PlanAxis(x), row_begin, row_end));
  if (IsIdentity(y)) return between;
  return ResampleColumns(between, vertical, row_begin);
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

// The whole of `image`, of which source_width x source_height pixels count.
absl::StatusOr<Image> ResampleWhole(const Image& image, std::pair<float, float> extent,
                                    std::pair<int, int> size, ResampleFilter filter) {
  return ResampleBoth(image, {filter, image.width, extent.first, size.first, 0, size.first},
                      {filter, image.height, extent.second, size.second, 0, size.second});
}

std::pair<float, float> WholeExtent(const Image& image) {
  return {static_cast<float>(image.width), static_cast<float>(image.height)};
}

}  // namespace

absl::StatusOr<Image> Resize(const Image& image, int width, int height, const ResizeOptions& options) {
  RETURN_IF_ERROR(CheckSides(image, width, height));
  if (image.width == width && image.height == height) return image;
  const std::pair<int, int> size = {width, height};
  if (image.channels == 4) {
    Image premultiplied = image;
    PremultiplyAlpha(premultiplied);
    ASSIGN_OR_RETURN(Image resized, ResampleWhole(premultiplied, WholeExtent(image), size, options.filter));
    DivideByAlpha(resized);
    return resized;
  }
  const int factor_x = options.reducing_gap ? std::max(image.width / width, 1) : 1;
  const int factor_y = options.reducing_gap ? std::max(image.height / height, 1) : 1;
  if (factor_x == 1 && factor_y == 1) return ResampleWhole(image, WholeExtent(image), size, options.filter);
  ASSIGN_OR_RETURN(const Image reduced, ReduceByBlocks(image, factor_x, factor_y));
  // Of the last, incomplete blocks only a part counts.
  const auto extent_x = static_cast<float>(static_cast<double>(image.width) / factor_x);
  const auto extent_y = static_cast<float>(static_cast<double>(image.height) / factor_y);
  return ResampleWhole(reduced, {extent_x, extent_y}, size, options.filter);
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
