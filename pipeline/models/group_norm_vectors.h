#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX__
#include <immintrin.h>
#endif

// Vectors of any width for group_norm_loops.h, under the same rules.

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

}  // namespace
}  // namespace kandinsky
