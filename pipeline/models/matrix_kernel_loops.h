#pragma once

#include <immintrin.h>

#include <cstdint>

#include "pipeline/models/matrix_kernel_variants.h"

// The loops behind MatrixKernels, written once for both widths of vector, so that the order of an element's
// sum is the same. Each file that includes this is compiled for an instruction set of its own; everything is
// internal to it, so that the linker never puts code for one processor in the place of another's.

namespace kandinsky {
namespace {  // NOLINT(google-build-namespaces)

// kRows <= Vector::kRows rows, from `row` on, and two vectors of columns, from `column` on: as many sums as
// there are registers for.
template <typename Vector, int kRows>
inline void MultiplyTile(const KernelOperands& o, int64_t row, int64_t column) {
  using Floats = typename Vector::Floats;
  Floats sums[kRows][2];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = Vector::Zero();
  const float* a = o.a.data + row * o.a.stride;
  const float* panel = o.panel + column;
  for (int64_t k = 0; k < o.depth; ++k, ++a, panel += kPanelColumns) {
    const Floats left = Vector::Load(panel);
    const Floats right = Vector::Load(panel + Vector::kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const Floats factor = Vector::Broadcast(a[i * o.a.stride]);
      sums[i][0] = Vector::MultiplyAdd(factor, left, sums[i][0]);
      sums[i][1] = Vector::MultiplyAdd(factor, right, sums[i][1]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = column + Vector::kLanes * half;
      const Floats before = o.base.data == nullptr
                                ? Vector::Zero()
                                : Vector::Load(o.base.data + (row + i) * o.base.stride + at);
      Vector::Store(o.to.data + (row + i) * o.to.stride + at, Vector::Add(before, sums[i][half]));
    }
  }
}

template <typename Vector, int kRows>
void MultiplyRows(const KernelOperands& o) {
  constexpr int kFirst = kRows < Vector::kRows ? kRows : Vector::kRows;
  for (int64_t column = 0; column < kPanelColumns; column += 2 * Vector::kLanes) {
    MultiplyTile<Vector, kFirst>(o, 0, column);
    if constexpr (kRows > kFirst) MultiplyTile<Vector, kRows - kFirst>(o, kFirst, column);
  }
}

// Eight rows by eight columns.
inline void Transpose8x8(ConstRows rows, float* panel) {
  __m256 r[8];
  __m256 t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(rows.data + i * rows.stride);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(panel + i * kPanelColumns, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(panel + (i + 4) * kPanelColumns, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

void TransposeRows(ConstRows rows, int64_t depth, float* panel) {
  const int64_t whole = depth / 8 * 8;
  for (int64_t j = 0; j < kPanelColumns; j += 8) {
    for (int64_t k = 0; k < whole; k += 8) {
      Transpose8x8({rows.data + j * rows.stride + k, rows.stride}, panel + k * kPanelColumns + j);
    }
  }
  for (int64_t k = whole; k < depth; ++k) {
    for (int64_t j = 0; j < kPanelColumns; ++j) panel[k * kPanelColumns + j] = rows.data[j * rows.stride + k];
  }
}

template <typename V>
constexpr MatrixKernels MakeMatrixKernels() {
  return {{MultiplyRows<V, 1>, MultiplyRows<V, 2>, MultiplyRows<V, 3>, MultiplyRows<V, 4>, MultiplyRows<V, 5>,
           MultiplyRows<V, 6>, MultiplyRows<V, 7>, MultiplyRows<V, 8>, MultiplyRows<V, 9>,
           MultiplyRows<V, 10>, MultiplyRows<V, 11>, MultiplyRows<V, 12>},
          TransposeRows};
}

}  // namespace
}  // namespace kandinsky
