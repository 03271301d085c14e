#pragma once

#include <torch/types.h>

namespace kandinsky {

// Functions of single elements whose values have the same bits whatever else is in the batch and however many
// threads there are: every row (index of the first dimension) goes through the library's vectors from its own
// beginning, in pieces of a fixed length. The library by itself takes the last elements of each thread's
// share one by one, with functions that round otherwise. Where a gradient may be recorded they are the
// library's.

torch::Tensor SineOf(const torch::Tensor& x);
torch::Tensor CosineOf(const torch::Tensor& x);

// x Phi(x), with the error function.
torch::Tensor GeluOf(const torch::Tensor& x);

// x sigmoid(1.702 x).
torch::Tensor QuickGeluOf(const torch::Tensor& x);

// x sigmoid(x). Takes an `x` that nobody else uses: reuses its memory when no gradient is recorded.
torch::Tensor SiluOf(torch::Tensor&& x);

}  // namespace kandinsky
