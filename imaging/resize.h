#pragma once

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

enum class ResampleFilter { kBicubic, kLanczos };

struct ResizeOptions {
  ResampleFilter filter = ResampleFilter::kBicubic;
  // Pillow's reducing_gap=1: averages whole blocks first where a side shrinks to half or less.
  bool reducing_gap = false;
};

// Resizes to width x height pixels with the values that Pillow 13's Image.resize gives (the version that
// tests/parity pins): antialiased, one axis after the other (RunsVerticalFirst() of resample.h), in fixed
// point, with 8 bits in between; RGBA with premultiplied colors. Pillow 10 differs where the vertical pass
// is the first, and did not average RGBA.
// INVALID_ARGUMENT for an image that contradicts itself, a side outside 1..kMaxImageSide, and for a result of
// more than 256 MiB; what lies between the passes is no larger than it or the image. RESOURCE_EXHAUSTED
// without memory.
// Thread-safe.
absl::StatusOr<Image> Resize(const Image& image, int width, int height, const ResizeOptions& options = {});

// What CLIPImageProcessor makes of an RGB image before it normalizes the values: bicubic, so that the
// shorter side has `size` pixels (no reducing gap), then the middle size x size pixels, the odd one left over
// at the right or below. Pixels that the crop drops are not computed. Errors and thread-safety as Resize.
absl::StatusOr<Image> CropForClip(const Image& rgb, int size);

}  // namespace kandinsky
