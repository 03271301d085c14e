#include "pipeline/models/matrix_kernel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kandinsky {
namespace {

constexpr int64_t kAtOnce = 12;  // rows whose sums stay in registers

struct Operands {
  ConstRows a;
  const float* panel;
  int64_t depth;
  ConstRows base;
  Rows to;
};

using RowsKernel = void (*)(const Operands&);

// The kernels for 1 to kAtOnce rows, and the packing of a block of weights.
struct Kernels {
  std::array<RowsKernel, kAtOnce> rows;
  void (*transpose)(ConstRows rows, int64_t depth, float* panel);  // of kPanelColumns whole rows
};

template <int kRows>
void MultiplyPlain(const Operands& o) {
  for (int64_t i = 0; i < kRows; ++i) {
    std::array<float, kPanelColumns> sums{};
    for (int64_t k = 0; k < o.depth; ++k) {
      const float factor = o.a.data[i * o.a.stride + k];
      for (int64_t j = 0; j < kPanelColumns; ++j) {
        sums[static_cast<size_t>(j)] += factor * o.panel[k * kPanelColumns + j];
      }
    }
    for (int64_t j = 0; j < kPanelColumns; ++j) {
      const float before = o.base.data == nullptr ? 0.0F : o.base.data[i * o.base.stride + j];
      o.to.data[i * o.to.stride + j] = before + sums[static_cast<size_t>(j)];
    }
  }
}

void TransposePlain(ConstRows rows, int64_t depth, float* panel) {
  for (int64_t k = 0; k < depth; ++k) {
    for (int64_t j = 0; j < kPanelColumns; ++j) panel[k * kPanelColumns + j] = rows.data[j * rows.stride + k];
  }
}

#if defined(__x86_64__)

#define KANDINSKY_AVX512 __attribute__((target("avx512f,fma")))
#define KANDINSKY_AVX2 __attribute__((target("avx2,fma")))

template <int kRows>
KANDINSKY_AVX512 void MultiplyAvx512(const Operands& o) {
  __m512 sums[kRows][2];
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
  const float* a = o.a.data;
  const float* panel = o.panel;
  for (int64_t k = 0; k < o.depth; ++k, ++a, panel += kPanelColumns) {
    const __m512 left = _mm512_loadu_ps(panel);
    const __m512 right = _mm512_loadu_ps(panel + 16);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      const __m512 factor = _mm512_set1_ps(a[i * o.a.stride]);
      sums[i][0] = _mm512_fmadd_ps(factor, left, sums[i][0]);
      sums[i][1] = _mm512_fmadd_ps(factor, right, sums[i][1]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512 before = o.base.data == nullptr
                                ? _mm512_setzero_ps()
                                : _mm512_loadu_ps(o.base.data + i * o.base.stride + 16 * half);
      _mm512_storeu_ps(o.to.data + i * o.to.stride + 16 * half, _mm512_add_ps(before, sums[i][half]));
    }
  }
}

// kRows <= 6 rows and half a panel.
template <int kRows>
KANDINSKY_AVX2 void MultiplyHalfAvx2(const Operands& o, int64_t row, int64_t column) {
  __m256 sums[kRows][2];
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) sums[i][0] = sums[i][1] = _mm256_setzero_ps();
  const float* a = o.a.data + row * o.a.stride;
  const float* panel = o.panel + column;
  for (int64_t k = 0; k < o.depth; ++k, ++a, panel += kPanelColumns) {
    const __m256 left = _mm256_loadu_ps(panel);
    const __m256 right = _mm256_loadu_ps(panel + 8);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m256 factor = _mm256_set1_ps(a[i * o.a.stride]);
      sums[i][0] = _mm256_fmadd_ps(factor, left, sums[i][0]);
      sums[i][1] = _mm256_fmadd_ps(factor, right, sums[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t at = column + 8 * half;
      const __m256 before = o.base.data == nullptr
                                ? _mm256_setzero_ps()
                                : _mm256_loadu_ps(o.base.data + (row + i) * o.base.stride + at);
      _mm256_storeu_ps(o.to.data + (row + i) * o.to.stride + at, _mm256_add_ps(before, sums[i][half]));
    }
  }
}

template <int kRows>
void MultiplyAvx2(const Operands& o) {
  constexpr int kFirst = std::min(kRows, 6);
  for (int64_t column = 0; column < kPanelColumns; column += 16) {
    MultiplyHalfAvx2<kFirst>(o, 0, column);
    if constexpr (kRows > 6) MultiplyHalfAvx2<kRows - 6>(o, 6, column);
  }
}

// Eight rows by eight columns.
KANDINSKY_AVX2 void Transpose8x8(ConstRows rows, float* panel) {
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

KANDINSKY_AVX2 void TransposeAvx2(ConstRows rows, int64_t depth, float* panel) {
  const int64_t whole = depth / 8 * 8;
  for (int64_t j = 0; j < kPanelColumns; j += 8) {
    for (int64_t k = 0; k < whole; k += 8) {
      Transpose8x8({rows.data + j * rows.stride + k, rows.stride}, panel + k * kPanelColumns + j);
    }
  }
  TransposePlain({rows.data + whole, rows.stride}, depth - whole, panel + whole * kPanelColumns);
}

#endif

template <template <int> typename KernelOf, size_t... kIndex>
constexpr std::array<RowsKernel, kAtOnce> KernelsOf(std::index_sequence<kIndex...>) {
  return {KernelOf<static_cast<int>(kIndex) + 1>::kFunction...};
}

template <int kRows>
struct Plain {
  static constexpr RowsKernel kFunction = MultiplyPlain<kRows>;
};
#if defined(__x86_64__)
template <int kRows>
struct Avx2 {
  static constexpr RowsKernel kFunction = MultiplyAvx2<kRows>;
};
template <int kRows>
struct Avx512 {
  static constexpr RowsKernel kFunction = MultiplyAvx512<kRows>;
};
#endif

Kernels ChooseKernels() {
  constexpr auto kIndices = std::make_index_sequence<kAtOnce>();
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2")) {
    if (__builtin_cpu_supports("avx512f")) return {KernelsOf<Avx512>(kIndices), TransposeAvx2};
    return {KernelsOf<Avx2>(kIndices), TransposeAvx2};
  }
#endif
  return {KernelsOf<Plain>(kIndices), TransposePlain};
}

const Kernels& ChosenKernels() {
  static const Kernels kernels = ChooseKernels();
  return kernels;
}

}  // namespace

void MultiplyPanel(ConstRows a, const float* panel, int64_t depth, ConstRows base, Rows to, PanelSize size) {
  const auto& kernels = ChosenKernels().rows;
  for (int64_t row = 0; row < size.rows; row += kAtOnce) {
    const int64_t rows = std::min(kAtOnce, size.rows - row);
    const RowsKernel kernel = kernels[static_cast<size_t>(rows - 1)];
    const auto add_up = [&](ConstRows before, Rows result) {
      for (int64_t k = 0; k < depth; k += kSumDepth) {
        kernel({.a = {a.data + row * a.stride + k, a.stride},
                .panel = panel + k * kPanelColumns,
                .depth = std::min(kSumDepth, depth - k),
                .base = before,
                .to = result});
        before = {result.data, result.stride};
      }
    };
    const ConstRows before{base.data == nullptr ? nullptr : base.data + row * base.stride, base.stride};
    const Rows result{to.data + row * to.stride, to.stride};
    if (size.columns == kPanelColumns) {
      add_up(before, result);
      continue;
    }
    // The panel is wider than the result: through a tile of full width.
    float tile[kAtOnce * kPanelColumns] = {};
    for (int64_t i = 0; i < rows && before.data != nullptr; ++i) {
      std::copy_n(before.data + i * before.stride, size.columns, tile + i * kPanelColumns);
    }
    add_up({tile, kPanelColumns}, {tile, kPanelColumns});
    for (int64_t i = 0; i < rows; ++i) {
      std::copy_n(tile + i * kPanelColumns, size.columns, result.data + i * result.stride);
    }
  }
}

void PackTransposed(ConstRows rows, int64_t columns, int64_t depth, float* panel) {
  if (columns == kPanelColumns) return ChosenKernels().transpose(rows, depth, panel);
  for (int64_t k = 0; k < depth; ++k) {
    for (int64_t j = 0; j < kPanelColumns; ++j) {
      panel[k * kPanelColumns + j] = j < columns ? rows.data[j * rows.stride + k] : 0.0F;
    }
  }
}

void PackPlain(ConstRows rows, int64_t columns, int64_t depth, float* panel) {
  for (int64_t k = 0; k < depth; ++k, panel += kPanelColumns) {
    std::memcpy(panel, rows.data + k * rows.stride, static_cast<size_t>(columns) * sizeof(float));
    std::fill(panel + columns, panel + kPanelColumns, 0.0F);
  }
}

}  // namespace kandinsky
