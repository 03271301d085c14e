#pragma once

#include <cstdint>

namespace kandinsky {

// The parts of a softmax over a row of float32 scores. `count` is a multiple of kSoftmaxLanes; a result
// depends on the values of the row only, NaN and infinities included.
constexpr int64_t kSoftmaxLanes = 8;

// The greatest of the scores; any of them when there is a NaN.
float MaxOf(const float* scores, int64_t count);

// Replaces every score by e^(score - offset), to within 2 units in the last place, zero below e^-87, and
// returns their sum.
float ExpOf(float* scores, int64_t count, float offset);

// Multiplies by `factor`.
void ScaleBy(float* values, int64_t count, float factor);

}  // namespace kandinsky
