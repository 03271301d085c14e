#include "pipeline/models/half_conversion.h"

#include <c10/util/Half.h>

#include "pipeline/models/half_conversion_variants.h"
#include "pipeline/models/weight_memory.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace kandinsky {
namespace {

#ifdef __x86_64__
// Not every compiler's __builtin_cpu_supports knows F16C.
bool HasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 &&
         (ecx & bit_F16C) != 0;
}
#endif

}  // namespace

bool HalvesToFloatsPlain(const uint16_t* from, int64_t count, float* to) {
  constexpr uint16_t kExponent = 0x7c00;  // all ones: infinity or NaN
  bool found = false;
  for (int64_t i = 0; i < count; ++i) {
    found |= (from[i] & kExponent) == kExponent;
    to[i] = c10::detail::fp16_ieee_to_fp32_value(from[i]);
  }
  return !found;
}

bool HalvesToFloats(const uint16_t* from, int64_t count, float* to) {
#ifdef __x86_64__
  static const bool f16c = HasF16c();
  if (f16c) return HalvesToFloatsF16c(from, count, to);
#endif
  return HalvesToFloatsPlain(from, count, to);
}

torch::Tensor FloatWeight(const torch::Tensor& stored, bool& finite) {
  torch::Tensor weight = EmptyWeight(stored.sizes());
  finite = HalvesToFloats(static_cast<const uint16_t*>(stored.const_data_ptr()), stored.numel(),
                          weight.mutable_data_ptr<float>());
  return weight;
}

}  // namespace kandinsky
