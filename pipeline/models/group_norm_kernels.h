#pragma once

#include <cstdint>

namespace kandinsky {

// Pixels whose channels lie side by side: pixel p begins at data + p * stride.
struct PixelRun {
  const float* data = nullptr;
  int64_t stride = 0;
  int64_t pixels = 0;
  int64_t channels = 0;
};

// What group norm adds up, in double precision: the square of a float is exact there, and the variance of
// values that are far from zero survives the subtraction of the squared mean.
struct Moments {
  double sum = 0;
  double squares = 0;
};

// Pixels that are normalized with the same coefficients.
struct NormalizedRun {
  PixelRun from;
  float* to = nullptr;  // of the same stride; may be where the values come from
  // y = (x - center) * scale + shift; each [channels].
  const float* center = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
  // Null, or [channels] each: then y * position_scale + position_shift.
  const float* position_scale = nullptr;
  const float* position_shift = nullptr;
  // Then y * sigmoid(y).
  bool silu = false;
};

// The loops of group norm for one instruction set. They keep no state. What an element becomes does not
// depend on the number of pixels around it.
struct GroupNormKernels {
  // Adds the values and squares of each group of channels to moments [channels / channels_per_group].
  // `scratch` has room for 2 * channels numbers.
  void (*add_moments)(const PixelRun& run, int64_t channels_per_group, double* scratch, Moments* moments);
  void (*normalize)(const NormalizedRun& run);
};

extern const GroupNormKernels kPortableGroupNormKernels;
#ifdef __x86_64__
extern const GroupNormKernels kAvx2GroupNormKernels;
extern const GroupNormKernels kAvx512GroupNormKernels;
#endif

// Those for the widest instructions that this processor has.
const GroupNormKernels& BestGroupNormKernels();

}  // namespace kandinsky
