#include "pipeline/models/elementwise.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "pipeline/models/parallel.h"

namespace kandinsky {
namespace {

// Elements of a piece: a whole number of vectors of any width, little enough for the library to use one
// thread.
constexpr int64_t kPiece = 16384;

// Calls apply(begin, length) for the pieces of every row of a dense tensor.
template <typename Apply>
void ForEachPiece(const torch::Tensor& x, const Apply& apply) {
  if (x.numel() == 0) return;
  const int64_t rows = x.dim() == 0 ? 1 : x.size(0);
  const int64_t length = x.numel() / rows;
  const int64_t pieces = (length + kPiece - 1) / kPiece;
  ParallelFor(0, rows * pieces, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    const c10::InferenceMode inference_mode;  // of this thread
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * kPiece;
      apply(i / pieces * length + first, std::min(kPiece, length - first));
    }
  });
}

// The elements of a dense tensor in the order of its memory.
torch::Tensor Flat(const torch::Tensor& x) { return x.as_strided({x.numel()}, {1}); }

// Rows come one after the other in memory.
torch::Tensor DenseByRow(const torch::Tensor& x) {
  const bool channels_last = x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  return channels_last ? x : x.contiguous();
}

// apply(to, from) for all pieces of `x` and of a new tensor.
template <typename Apply>
torch::Tensor MapPieces(const torch::Tensor& x, const Apply& apply) {
  const torch::Tensor from = DenseByRow(x);
  torch::Tensor to = at::empty_like(from);
  ForEachPiece(from, [flat_to = Flat(to), flat_from = Flat(from), &apply](int64_t first, int64_t length) {
    torch::Tensor part = flat_to.narrow(0, first, length);
    apply(part, flat_from.narrow(0, first, length));
  });
  return to;
}

}  // namespace

torch::Tensor SineOf(const torch::Tensor& x) {
  if (at::GradMode::is_enabled()) return at::sin(x);
  return MapPieces(x, [](torch::Tensor& to, const torch::Tensor& from) { at::sin_out(to, from); });
}

torch::Tensor CosineOf(const torch::Tensor& x) {
  if (at::GradMode::is_enabled()) return at::cos(x);
  return MapPieces(x, [](torch::Tensor& to, const torch::Tensor& from) { at::cos_out(to, from); });
}

torch::Tensor GeluOf(const torch::Tensor& x) {
  if (at::GradMode::is_enabled()) return at::gelu(x);
  return MapPieces(x, [](torch::Tensor& to, const torch::Tensor& from) { at::gelu_out(to, from); });
}

torch::Tensor QuickGeluOf(const torch::Tensor& x) {
  if (at::GradMode::is_enabled()) return x * at::sigmoid(x * 1.702);
  return MapPieces(x, [](torch::Tensor& to, const torch::Tensor& from) {
    at::mul_out(to, from, at::sigmoid(from * 1.702));
  });
}

torch::Tensor SiluOf(torch::Tensor&& x) {
  if (at::GradMode::is_enabled()) return at::silu(x);
  torch::Tensor result = DenseByRow(x);
  ForEachPiece(result, [flat = Flat(result)](int64_t first, int64_t length) {
    torch::Tensor part = flat.narrow(0, first, length);
    at::silu_(part);
  });
  return result;
}

}  // namespace kandinsky
