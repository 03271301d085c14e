#pragma once

#include <cstdint>
#include <vector>

#include "imaging/image.h"

namespace kandinsky {

// An image that follows from `seed` alone: a gradient between four colors with a grain that makes its PNG
// about as large as that of a real image. RGB; `width` and `height` >= 1. Takes about a nanosecond a byte.
Image SimulatedImage(uint64_t seed, int width, int height);

// The gradient of the same image without its grain, faded in from gray: `done` is 0 (gray) to 1.
Image SimulatedPreview(uint64_t seed, int width, int height, double done);

// `count` numbers in -1..1 that follow from `seed` alone.
std::vector<float> SimulatedLatents(uint64_t seed, size_t count);

}  // namespace kandinsky
