#include "pipeline/models/softmax_kernel.h"

#include <algorithm>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kandinsky {
namespace {

constexpr float kLowest = -87.0F;
constexpr float kHighest = 88.0F;

struct Kernels {
  float (*max)(const float* scores, int64_t count);
  float (*exp)(float* scores, int64_t count, float offset);
  void (*scale)(float* values, int64_t count, float factor);
};

float MaxPlain(const float* scores, int64_t count) { return *std::max_element(scores, scores + count); }

float ExpPlain(float* scores, int64_t count, float offset) {
  float sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    scores[i] = scores[i] - offset < kLowest ? 0.0F : std::exp(scores[i] - offset);
    sum += scores[i];
  }
  return sum;
}

void ScalePlain(float* values, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) values[i] *= factor;
}

#if defined(__x86_64__)

#define KANDINSKY_AVX2 __attribute__((target("avx2,fma")))

KANDINSKY_AVX2 float MaxAvx2(const float* scores, int64_t count) {
  __m256 greatest = _mm256_loadu_ps(scores);
  for (int64_t i = kSoftmaxLanes; i < count; i += kSoftmaxLanes) {
    greatest = _mm256_max_ps(greatest, _mm256_loadu_ps(scores + i));
  }
  alignas(32) float lanes[kSoftmaxLanes];
  _mm256_store_ps(lanes, greatest);
  return *std::max_element(lanes, lanes + kSoftmaxLanes);
}

// As Cephes' expf: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]. NaN stays NaN: the operand that max and
// min return then is the second.
KANDINSKY_AVX2 __m256 Exp(__m256 x) {
  const __m256 in_range = _mm256_cmp_ps(x, _mm256_set1_ps(kLowest), _CMP_NLT_UQ);
  x = _mm256_min_ps(_mm256_set1_ps(kHighest), _mm256_max_ps(_mm256_set1_ps(kLowest), x));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341F)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375F), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(2.12194440e-4F), r);
  __m256 p = _mm256_set1_ps(1.9875691500e-4F);
  for (const float coefficient :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(coefficient));
  }
  p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0F));
  const __m256i exponent =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_and_ps(in_range, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

KANDINSKY_AVX2 float ExpAvx2(float* scores, int64_t count, float offset) {
  const __m256 offsets = _mm256_set1_ps(offset);
  __m256 sums = _mm256_setzero_ps();
  for (int64_t i = 0; i < count; i += kSoftmaxLanes) {
    const __m256 value = Exp(_mm256_sub_ps(_mm256_loadu_ps(scores + i), offsets));
    sums = _mm256_add_ps(sums, value);
    _mm256_storeu_ps(scores + i, value);
  }
  alignas(32) float lanes[kSoftmaxLanes];
  _mm256_store_ps(lanes, sums);
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

KANDINSKY_AVX2 void ScaleAvx2(float* values, int64_t count, float factor) {
  const __m256 factors = _mm256_set1_ps(factor);
  for (int64_t i = 0; i < count; i += kSoftmaxLanes) {
    _mm256_storeu_ps(values + i, _mm256_mul_ps(_mm256_loadu_ps(values + i), factors));
  }
}

#endif

const Kernels& ChosenKernels() {
#if defined(__x86_64__)
  static const Kernels kernels = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                                     ? Kernels{MaxAvx2, ExpAvx2, ScaleAvx2}
                                     : Kernels{MaxPlain, ExpPlain, ScalePlain};
#else
  static const Kernels kernels{MaxPlain, ExpPlain, ScalePlain};
#endif
  return kernels;
}

}  // namespace

float MaxOf(const float* scores, int64_t count) { return ChosenKernels().max(scores, count); }

float ExpOf(float* scores, int64_t count, float offset) { return ChosenKernels().exp(scores, count, offset); }

void ScaleBy(float* values, int64_t count, float factor) { ChosenKernels().scale(values, count, factor); }

}  // namespace kandinsky
