#pragma once

#include <cstdint>

namespace kandinsky {

// The innermost part of all matrix products of float32 on the CPU. An element of a product is made by itself:
// its terms are added one after the other with fused multiplications, in blocks of kBlockDepth whose sums are
// added in order. It therefore has the same bits whatever else is computed with it and however the work is
// divided, with AVX2 and AVX-512 alike; processors without them round every multiplication.

// Columns of a panel: the unit in which right-hand sides are stored.
constexpr int64_t kPanelColumns = 32;
// Terms that are summed up before they are added to the result: rounding errors grow with the length of a
// sum.
constexpr int64_t kSumDepth = 64;
// Terms of one call, a multiple of kSumDepth: so much of a panel, and of the rows, stays in the caches.
constexpr int64_t kBlockDepth = 256;

// A matrix by rows: row i begins at data + i * stride.
struct ConstRows {
  const float* data = nullptr;
  int64_t stride = 0;
};
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
};

// The part of a result that one panel makes.
struct PanelSize {
  int64_t rows = 0;
  int64_t columns = kPanelColumns;
};

// to[i][j] = base[i][j] + sum over k of a[i][k] * panel[k][j], for i < rows, j < columns <= kPanelColumns and
// k < depth <= kBlockDepth. `panel` is [depth, kPanelColumns]. `base` may be `to`, have stride 0 (the same
// for every row), or no data (zeros).
void MultiplyPanel(ConstRows a, const float* panel, int64_t depth, ConstRows base, Rows to, PanelSize size);

// panel[k][j] = rows[j][k] for k < depth and j < columns, zero for the other columns of the panel.
void PackTransposed(ConstRows rows, int64_t columns, int64_t depth, float* panel);

// panel[k][j] = rows[k][j] for k < depth and j < columns, zero for the other columns of the panel.
void PackPlain(ConstRows rows, int64_t columns, int64_t depth, float* panel);

}  // namespace kandinsky
