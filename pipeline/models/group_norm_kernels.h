#pragma once

#include <cstdint>

namespace kandinsky {

// Pixels that are normalized with the same coefficients: [pixels, channels], channels innermost.
struct NormalizedRun {
  const float* from = nullptr;
  float* to = nullptr;
  int64_t pixels = 0;
  int64_t channels = 0;
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
  // Adds the values of each channel of x [pixels, channels] to sums [channels], their squares to
  // squares [channels].
  void (*add_moments)(const float* x, int64_t pixels, int64_t channels, double* sums, double* squares);
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
