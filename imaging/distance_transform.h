#pragma once

#include <cstdint>
#include <vector>

#include "imaging/image.h"

namespace kandinsky {

// For every pixel of the one-channel `mask` the squared Euclidean distance, in pixels, to the nearest pixel
// whose value is below `threshold` (0 for these themselves). Where there is none, or none nearer than
// `max_distance` (1 to 30000), max_distance squared. Exact, in time proportional to the number of pixels:
// A. Meijster, J. Roerdink and W. Hesselink, "A general algorithm for computing distance transforms in linear
// time", 2000.
std::vector<int32_t> SquaredDistances(const Image& mask, int threshold, int max_distance);

}  // namespace kandinsky
