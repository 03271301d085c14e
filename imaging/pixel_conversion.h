#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

// Turns and mirrors an image as EXIF orientation `orientation` (1-8) asks, so that it is upright. Works on
// pixels of any number of bytes. RESOURCE_EXHAUSTED without memory.
absl::StatusOr<Image> ApplyOrientation(Image image, int orientation);

// Gray, RGB or RGBA to RGB: gray is repeated, alpha is laid over the gray `background`, rounded to nearest.
absl::StatusOr<Image> ToRgbOver(uint8_t background, Image image);

// RGB (or gray, unchanged) to one channel: ITU-R 601 luma with Pillow's fixed-point weights,
// (19595 R + 38470 G + 7471 B + 0x8000) >> 16. Gray RGB keeps its value.
Image ToLuma(Image image);

}  // namespace kandinsky
