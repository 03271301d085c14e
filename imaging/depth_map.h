#pragma once

#include <vector>

#include "absl/status/statusor.h"

namespace kandinsky {

// A depth map: one value of 0..1 per pixel, rows top to bottom.
struct DepthMap {
  int width = 0;
  int height = 0;
  std::vector<float> values;
};

// A map of zeros. Sides are 1 or more. RESOURCE_EXHAUSTED when there is no memory for it.
absl::StatusOr<DepthMap> AllocateDepthMap(int width, int height);

// Resizes to width x height pixels, sides of 1..kMaxImageSide: bicubic and antialiased, with the values that
// Pillow 13's Image.resize gives in its 32-bit mode "F", so that 16-bit maps keep their steps. Overshoot is
// then cut to 0..1.
// RESOURCE_EXHAUSTED without memory. Thread-safe.
absl::StatusOr<DepthMap> ResizeDepth(DepthMap depth, int width, int height);

}  // namespace kandinsky
