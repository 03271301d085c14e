#pragma once

#include <cstring>

#include "pipeline/models/group_norm_vectors.h"

// The activation behind a group norm, for group_norm_loops.h and under the same rules.

namespace kandinsky {
namespace {  // NOLINT(google-build-namespaces)

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

}  // namespace
}  // namespace kandinsky
