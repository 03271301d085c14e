#include <immintrin.h>

#include "pipeline/models/half_conversion_variants.h"

namespace kandinsky {

bool HalvesToFloatsF16c(const uint16_t* from, int64_t count, float* to) {
  constexpr int64_t kLanes = 16;
  const __m256i exponent = _mm256_set1_epi16(0x7c00);  // all ones: infinity or NaN
  __m256i found = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    found = _mm256_or_si256(found, _mm256_cmpeq_epi16(_mm256_and_si256(halves, exponent), exponent));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm256_castsi256_si128(halves)));
    _mm256_storeu_ps(to + i + kLanes / 2, _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
  }
  const bool finite = _mm256_testz_si256(found, found) != 0;
  return HalvesToFloatsPlain(from + i, count - i, to + i) && finite;
}

}  // namespace kandinsky
