#pragma once

#include <cstdint>

#include "pipeline/models/matrix_kernel.h"

namespace kandinsky {

// Rows whose sums stay in registers: as many as a kernel takes.
constexpr int64_t kKernelRows = 12;

// What a kernel computes: MultiplyPanel for one block of terms and a whole panel.
struct KernelOperands {
  ConstRows a;
  const float* panel = nullptr;
  int64_t depth = 0;
  ConstRows base;
  Rows to;
};

// The innermost loops for one instruction set.
struct MatrixKernels {
  void (*multiply[kKernelRows])(const KernelOperands&);            // for 1 to kKernelRows rows
  void (*transpose)(ConstRows rows, int64_t depth, float* panel);  // packs kPanelColumns whole rows
};

// Rounds every multiplication.
extern const MatrixKernels kPlainMatrixKernels;
#ifdef __x86_64__
// These two give the same bits.
extern const MatrixKernels kAvx2MatrixKernels;
extern const MatrixKernels kAvx512MatrixKernels;
#endif

// Those for the widest instructions that this processor has.
const MatrixKernels& BestMatrixKernels();

}  // namespace kandinsky
