#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX__
#include <immintrin.h>
#endif

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

// As many floats as `Double` has lanes. gcc converts generic vectors in halves.
template <typename Double, typename Float>
inline Double LoadDoubles(const float* from) {
#ifdef __AVX512F__
  if constexpr (sizeof(Double) == sizeof(__m512d)) {
    return (Double)_mm512_maskz_cvtps_pd(0xFF, _mm256_loadu_ps(from));
  }
#endif
#ifdef __AVX__
  if constexpr (sizeof(Double) == sizeof(__m256d)) return (Double)_mm256_cvtps_pd(_mm_loadu_ps(from));
#endif
  return __builtin_convertvector(Load<Float>(from), Double);
}

// Pixels that are worked on for a vector of channels before its neighbors: sums and coefficients of the
// channels are read as often less.
constexpr int64_t kPixelsAtOnce = 8;

// Asks for the channels from `c` of the pixels that come after kPixelsAtOnce ones: processors foresee the
// next line of memory, but not this order.
template <int kLanes>
inline void PrefetchNextPixels(const float* data, int64_t stride, int64_t c) {
  constexpr int64_t kLine = 16;
  if (c % kLine >= kLanes) return;  // the vector before has asked
#pragma GCC unroll 8
  for (int64_t p = 0; p < kPixelsAtOnce; ++p) __builtin_prefetch(data + (kPixelsAtOnce + p) * stride + c);
}

template <int kLanes>
inline int64_t AddChannels(const PixelRun& run, int64_t first, double* sums, double* squares) {
  using Float = typename Vectors<kLanes>::Float;
  using Double = typename Vectors<kLanes>::Double;
  int64_t c = first;
  for (; c + kLanes <= run.channels; c += kLanes) {
    Double sum = Load<Double>(sums + c);
    Double square = Load<Double>(squares + c);
    if constexpr (kLanes > 1) PrefetchNextPixels<kLanes>(run.data, run.stride, c);
    for (int64_t p = 0; p < run.pixels; ++p) {
      const Double value = LoadDoubles<Double, Float>(run.data + p * run.stride + c);
      sum += value;
      square += value * value;
    }
    Store(sums + c, sum);
    Store(squares + c, square);
  }
  return c;
}

// The sum of `count` numbers: four side by side, since one after the other would wait for each addition.
inline double SumOfRun(const double* values, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int64_t j = 0; j < 4; ++j) sums[j] += values[i + j];
  }
  double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i < count; ++i) sum += values[i];
  return sum;
}

template <int kLanes>
void AddMoments(const PixelRun& run, int64_t channels_per_group, double* scratch, Moments* moments) {
  double* sums = scratch;
  double* squares = scratch + run.channels;
  std::memset(scratch, 0, static_cast<size_t>(2 * run.channels) * sizeof(double));
  for (int64_t p = 0; p < run.pixels; p += kPixelsAtOnce) {
    PixelRun part = run;
    part.data += p * run.stride;
    part.pixels = run.pixels - p < kPixelsAtOnce ? run.pixels - p : kPixelsAtOnce;
    const int64_t done = AddChannels<kLanes>(part, 0, sums, squares);
    AddChannels<1>(part, done, sums, squares);
  }
  for (int64_t c = 0; c < run.channels; c += channels_per_group, ++moments) {
    moments->sum += SumOfRun(sums + c, channels_per_group);
    moments->squares += SumOfRun(squares + c, channels_per_group);
  }
}

// min(max(x, lowest), highest), NaN for NaN. From comparisons gcc makes twice as many instructions.
template <typename Float>
inline Float Clamped(const Float& x, const Float& lowest, const Float& highest) {
#ifdef __AVX512F__
  if constexpr (sizeof(Float) == sizeof(__m512)) {
    const __m512 all = (__m512)x;
    const __m512 above = _mm512_mask_max_ps(all, 0xFFFF, (__m512)lowest, all);
    return (Float)_mm512_mask_min_ps(above, 0xFFFF, (__m512)highest, above);
  }
#endif
#ifdef __AVX__
  if constexpr (sizeof(Float) == sizeof(__m256)) {
    return (Float)_mm256_min_ps((__m256)highest, _mm256_max_ps((__m256)lowest, (__m256)x));
  }
#endif
  const Float above = x < lowest ? lowest : x;
  return above > highest ? highest : above;
}

// y to y * sigmoid(y) = y / (1 + e^-y), for several vectors in step: each operation waits for the one before
// it, and a processor does not look far enough ahead to find the next vector's by itself.
//
// e^-y is 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (1 + r + r^2 q(r), where q of degree 4 agrees with
// e^r at the Chebyshev nodes: 1.1e-8), to within 1.5 units in the last place for y in -88..87; beyond as at
// these ends, NaN for NaN.
template <int kLanes, int kCount>
inline void Silu(typename Vectors<kLanes>::Float* y) {
  using Float = typename Vectors<kLanes>::Float;
  using Int = typename Vectors<kLanes>::Int;
  // 1.5 * 2^23: adding it leaves the nearest whole number in the low bits; 127 more is the exponent's bias.
  constexpr float kRounder = 12582912.0F + 127.0F;
  constexpr float kCoefficients[] = {
      1.392618404e-3F, 8.363178931e-3F, 4.166655615e-2F, 1.666657627e-1F, 0.5F, 1.0F, 1.0F};
  const Float lowest = Float{} - 88.0F;
  const Float highest = Float{} + 87.0F;
  Float r[kCount];
  Float p[kCount];
  Float shifted[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) r[i] = Clamped(y[i], lowest, highest);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) shifted[i] = kRounder - r[i] * 1.44269504088896341F;
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) p[i] = shifted[i] - kRounder;
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) r[i] = -r[i] - p[i] * 0.693359375F;
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) r[i] = r[i] + p[i] * 2.12194440e-4F;
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) p[i] = r[i] * kCoefficients[0] + kCoefficients[1];
#pragma GCC unroll 8
  for (int k = 2; k < static_cast<int>(sizeof(kCoefficients) / sizeof(float)); ++k) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) p[i] = p[i] * r[i] + kCoefficients[k];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    Int bits;
    std::memcpy(&bits, &shifted[i], sizeof(bits));
    bits <<= 23;
    Float power;
    std::memcpy(&power, &bits, sizeof(power));
    p[i] = p[i] * power + 1.0F;
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) y[i] = y[i] / p[i];
}

// One vector of channels of all pixels of a run.
template <int kLanes>
struct ChannelVector {
  using Float = typename Vectors<kLanes>::Float;

  ChannelVector(const NormalizedRun& run, int64_t c)
      : from(run.from.data + c),
        to(run.to + c),
        center(Load<Float>(run.center + c)),
        scale(Load<Float>(run.scale + c)),
        shift(Load<Float>(run.shift + c)) {
    if (run.position_scale != nullptr) {
      const Float position_scale = Load<Float>(run.position_scale + c);
      scale = scale * position_scale;
      shift = shift * position_scale + Load<Float>(run.position_shift + c);
    }
  }

  // kCount pixels whose values begin at `offset`.
  template <int kCount, bool kWithSilu>
  void Normalize(int64_t offset, int64_t stride) const {
    Float y[kCount];
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i)
      y[i] = (Load<Float>(from + offset + i * stride) - center) * scale + shift;
    if constexpr (kWithSilu) Silu<kLanes, kCount>(y);
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) Store(to + offset + i * stride, y[i]);
  }

  const float* from;
  float* to;
  Float center;
  Float scale;
  Float shift;
};

template <int kLanes, bool kWithSilu>
inline int64_t NormalizeChannels(const NormalizedRun& run, int64_t first_pixel, int64_t pixels,
                                 int64_t first) {
  constexpr int kAtOnce = 4;
  const int64_t stride = run.from.stride;
  int64_t c = first;
  for (; c + kLanes <= run.from.channels; c += kLanes) {
    const ChannelVector<kLanes> vector(run, c);
    if constexpr (kLanes > 1) PrefetchNextPixels<kLanes>(run.from.data + first_pixel * stride, stride, c);
    int64_t p = first_pixel;
    for (; p + kAtOnce <= first_pixel + pixels; p += kAtOnce) {
      vector.template Normalize<kAtOnce, kWithSilu>(p * stride, stride);
    }
    for (; p < first_pixel + pixels; ++p) vector.template Normalize<1, kWithSilu>(p * stride, stride);
  }
  return c;
}

template <int kLanes, bool kWithSilu>
void NormalizePixels(const NormalizedRun& run) {
  for (int64_t p = 0; p < run.from.pixels; p += kPixelsAtOnce) {
    const int64_t count = run.from.pixels - p < kPixelsAtOnce ? run.from.pixels - p : kPixelsAtOnce;
    const int64_t done = NormalizeChannels<kLanes, kWithSilu>(run, p, count, 0);
    NormalizeChannels<1, kWithSilu>(run, p, count, done);
  }
}

template <int kLanes>
void NormalizeRun(const NormalizedRun& run) {
  run.silu ? NormalizePixels<kLanes, true>(run) : NormalizePixels<kLanes, false>(run);
}

// `kLanes` floats fill the widest register.
template <int kLanes>
constexpr GroupNormKernels MakeGroupNormKernels() {
  return {.add_moments = &AddMoments<kLanes / 2>, .normalize = &NormalizeRun<kLanes>};
}

}  // namespace
}  // namespace kandinsky
