#include "pipeline/models/matrix_kernel.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "pipeline/models/matrix_kernel_variants.h"

namespace kandinsky {
namespace {

template <int kRows>
void MultiplyPlain(const KernelOperands& o) {
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

}  // namespace

const MatrixKernels kPlainMatrixKernels = {
    {MultiplyPlain<1>, MultiplyPlain<2>, MultiplyPlain<3>, MultiplyPlain<4>, MultiplyPlain<5>,
     MultiplyPlain<6>, MultiplyPlain<7>, MultiplyPlain<8>, MultiplyPlain<9>, MultiplyPlain<10>,
     MultiplyPlain<11>, MultiplyPlain<12>},
    TransposePlain};

const MatrixKernels& BestMatrixKernels() {
#ifdef __x86_64__
  static const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  // All that matrix_kernel_avx512.cc is compiled for.
  static const bool avx512 = fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  if (avx512) return kAvx512MatrixKernels;
  if (fma) return kAvx2MatrixKernels;
#endif
  return kPlainMatrixKernels;
}

void MultiplyPanel(ConstRows a, const float* panel, int64_t depth, ConstRows base, Rows to, PanelSize size) {
  const MatrixKernels& kernels = BestMatrixKernels();
  for (int64_t row = 0; row < size.rows; row += kKernelRows) {
    const int64_t rows = std::min(kKernelRows, size.rows - row);
    const auto kernel = kernels.multiply[rows - 1];
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
    float tile[kKernelRows * kPanelColumns] = {};
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
  if (columns == kPanelColumns) return BestMatrixKernels().transpose(rows, depth, panel);
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
