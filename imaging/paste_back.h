#pragma once

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

// The widest fade that PasteBack makes, in pixels.
inline constexpr int kMaxFeather = 256;

// Puts the painted part of an inpainted image into the original. `mask` is gray, 255 = painted, 0 = kept;
// values from 128 on count as painted. Kept pixels are the original's, byte for byte. Painted pixels are the
// painted image's, but for those within `feather` pixels of the nearest kept one, which fade linearly: at a
// distance of d pixels (Euclidean, between centers, 1 and more) the painted image has the weight
// min(1, d / (feather + 1)). With feather 0 (at most kMaxFeather) the edge is hard. Without kept pixels the
// result is `painted`, without painted ones `original`. Takes time proportional to the number of pixels.
// INVALID_ARGUMENT when sizes or channels differ (with both sizes), the mask is not gray, or feather is out
// of range. Thread-safe.
absl::StatusOr<Image> PasteBack(const Image& painted, const Image& original, const Image& mask, int feather);

}  // namespace kandinsky
