#include "pipeline/models/matrix_kernel_loops.h"

namespace kandinsky {
namespace {

struct Avx2 {
  using Floats = __m256;
  static constexpr int64_t kLanes = 8;
  static constexpr int kRows = 6;

  static Floats Zero() { return _mm256_setzero_ps(); }
  static Floats Load(const float* from) { return _mm256_loadu_ps(from); }
  static void Store(float* to, Floats values) { _mm256_storeu_ps(to, values); }
  static Floats Broadcast(float value) { return _mm256_set1_ps(value); }
  static Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats MultiplyAdd(Floats a, Floats b, Floats sum) { return _mm256_fmadd_ps(a, b, sum); }
};

}  // namespace

const MatrixKernels kAvx2MatrixKernels = MakeMatrixKernels<Avx2>();

}  // namespace kandinsky
