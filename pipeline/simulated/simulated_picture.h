#pragma once

#include <cstdint>
#include <vector>

#include "imaging/image.h"

namespace kandinsky {

// A picture that follows from `seed` alone: a gradient between four colours with a grain that makes its PNG
// about as large as that of a real picture. RGB; `width` and `height` >= 1. Takes about a nanosecond a byte.
Image SimulatedPicture(uint64_t seed, int width, int height);

// The gradient of the same picture without its grain, faded in from grey: `done` is 0 (grey) to 1.
Image SimulatedPreview(uint64_t seed, int width, int height, double done);

// `count` numbers in -1..1 that follow from `seed` alone.
std::vector<float> SimulatedLatents(uint64_t seed, size_t count);

}  // namespace kandinsky
