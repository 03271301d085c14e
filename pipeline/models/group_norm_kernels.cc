#include "pipeline/models/group_norm_kernels.h"

namespace kandinsky {

const GroupNormKernels& BestGroupNormKernels() {
#ifdef __x86_64__
  static const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  static const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx512) return kAvx512GroupNormKernels;
  if (avx2) return kAvx2GroupNormKernels;
#endif
  return kPortableGroupNormKernels;
}

}  // namespace kandinsky
