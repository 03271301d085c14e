#pragma once

#include <cstdint>
#include <cstring>

#include "pipeline/models/group_norm_kernels.h"

// The loops behind GroupNormKernels, written once for any width of vector. Each file that includes this is
// compiled for an instruction set of its own; everything is internal to it, so that the linker never puts
// code for one processor in the place of another's. For the same reason only C headers are included.

namespace kandinsky {
namespace {  // NOLINT(google-build-namespaces)

// gcc ignores this attribute in a `using` that depends on a template parameter.
template <int kLanes>
struct Vectors {
  typedef float Float __attribute__((vector_size(kLanes * sizeof(float))));     // NOLINT(modernize-use-using)
  typedef int32_t Int __attribute__((vector_size(kLanes * sizeof(int32_t))));   // NOLINT(modernize-use-using)
  typedef double Double __attribute__((vector_size(kLanes * sizeof(double))));  // NOLINT(modernize-use-using)
};

template <typename V, typename T>
inline V Load(const T* from) {
  V value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename V, typename T>
inline void Store(T* to, const V& value) {
  std::memcpy(to, &value, sizeof(value));
}

// Pixels that are read while the sums of a channel stay in registers.
constexpr int64_t kPixelsAtOnce = 8;

// In double precision: the square of a float is exact there, and the variance of values that are far from
// zero survives the subtraction of the squared mean.
template <int kLanes>
inline int64_t AddMoments(const float* x, int64_t pixels, int64_t channels, int64_t first, double* sums,
                          double* squares) {
  using Float = typename Vectors<kLanes>::Float;
  using Double = typename Vectors<kLanes>::Double;
  int64_t c = first;
  for (; c + kLanes <= channels; c += kLanes) {
    Double sum = Load<Double>(sums + c);
    Double square = Load<Double>(squares + c);
    for (int64_t p = 0; p < pixels; ++p) {
      const Double value = __builtin_convertvector(Load<Float>(x + p * channels + c), Double);
      sum += value;
      square += value * value;
    }
    Store(sums + c, sum);
    Store(squares + c, square);
  }
  return c;
}

template <int kLanes>
void AddMomentsOfPixels(const float* x, int64_t pixels, int64_t channels, double* sums, double* squares) {
  for (int64_t p = 0; p < pixels; p += kPixelsAtOnce) {
    const int64_t count = pixels - p < kPixelsAtOnce ? pixels - p : kPixelsAtOnce;
    const float* block = x + p * channels;
    const int64_t done = AddMoments<kLanes>(block, count, channels, 0, sums, squares);
    AddMoments<1>(block, count, channels, done, sums, squares);
  }
}

// e^x to within 1.5 units in the last place, for x in -87..88; beyond as at these ends, NaN for NaN. As
// Cephes' expf: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2].
template <int kLanes>
inline void Exp(typename Vectors<kLanes>::Float& x) {
  using Float = typename Vectors<kLanes>::Float;
  using Int = typename Vectors<kLanes>::Int;
  constexpr float kRounder =
      12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
  const Float lowest = Float{} - 87.0F;
  const Float highest = Float{} + 88.0F;
  x = x < lowest ? lowest : x;
  x = x > highest ? highest : x;
  const Float shifted = x * 1.44269504088896341F + kRounder;
  const Float n = shifted - kRounder;
  const Float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  Float p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  Int bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits << 23) + 0x3F800000;
  Float power;
  std::memcpy(&power, &bits, sizeof(power));
  x = p * power;
}

template <int kLanes, bool kWithSilu>
inline int64_t Normalize(const NormalizedRun& run, int64_t first_pixel, int64_t pixels, int64_t first) {
  using Float = typename Vectors<kLanes>::Float;
  const int64_t channels = run.channels;
  const float* from = run.from + first_pixel * channels;
  float* to = run.to + first_pixel * channels;
  int64_t c = first;
  for (; c + kLanes <= channels; c += kLanes) {
    const Float center = Load<Float>(run.center + c);
    Float scale = Load<Float>(run.scale + c);
    Float shift = Load<Float>(run.shift + c);
    if (run.position_scale != nullptr) {
      const Float position_scale = Load<Float>(run.position_scale + c);
      scale = scale * position_scale;
      shift = shift * position_scale + Load<Float>(run.position_shift + c);
    }
    for (int64_t p = 0; p < pixels; ++p) {
      Float y = (Load<Float>(from + p * channels + c) - center) * scale + shift;
      if constexpr (kWithSilu) {
        Float e = -y;
        Exp<kLanes>(e);
        y = y / (e + 1.0F);
      }
      Store(to + p * channels + c, y);
    }
  }
  return c;
}

template <int kLanes, bool kWithSilu>
void NormalizePixels(const NormalizedRun& run) {
  for (int64_t p = 0; p < run.pixels; p += kPixelsAtOnce) {
    const int64_t count = run.pixels - p < kPixelsAtOnce ? run.pixels - p : kPixelsAtOnce;
    const int64_t done = Normalize<kLanes, kWithSilu>(run, p, count, 0);
    Normalize<1, kWithSilu>(run, p, count, done);
  }
}

template <int kLanes>
void NormalizeRun(const NormalizedRun& run) {
  run.silu ? NormalizePixels<kLanes, true>(run) : NormalizePixels<kLanes, false>(run);
}

// `kLanes` floats fill the widest register.
template <int kLanes>
constexpr GroupNormKernels MakeGroupNormKernels() {
  return {.add_moments = &AddMomentsOfPixels<kLanes / 2>, .normalize = &NormalizeRun<kLanes>};
}

}  // namespace
}  // namespace kandinsky
