#include "pipeline/models/matrix_kernel_loops.h"

namespace kandinsky {
namespace {

struct Avx512 {
  using Floats = __m512;
  static constexpr int64_t kLanes = 16;
  static constexpr int kRows = 12;

  static Floats Zero() { return _mm512_setzero_ps(); }
  static Floats Load(const float* from) { return _mm512_loadu_ps(from); }
  static void Store(float* to, Floats values) { _mm512_storeu_ps(to, values); }
  static Floats Broadcast(float value) { return _mm512_set1_ps(value); }
  static Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats MultiplyAdd(Floats a, Floats b, Floats sum) { return _mm512_fmadd_ps(a, b, sum); }
};

}  // namespace

const MatrixKernels kAvx512MatrixKernels = MakeMatrixKernels<Avx512>();

}  // namespace kandinsky
