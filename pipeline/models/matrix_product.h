#pragma once

#include <torch/types.h>

namespace kandinsky {

// Products of float32 matrices on the CPU in which every row of the result has the same bits whatever the
// number of rows, its place among them and the number of threads (see matrix_kernel.h). Libraries choose
// their way by the whole size. They record no gradient.

// Whether LinearByRow takes these: float32 on the CPU, and no gradient wanted.
bool SuitsLinearByRow(const torch::Tensor& x, const torch::Tensor& weight);

// x [..., in], weight [out, in], bias [out] or undefined -> x weight^T + bias, [..., out].
torch::Tensor LinearByRow(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

// [B, out, in] -> [B, panels, in, kPanelColumns]: the form in which a weight is read fastest. `out` becomes a
// whole number of panels, with zeros behind.
torch::Tensor PackWeights(const torch::Tensor& weights);

// inputs [B, rows, in] times packed [B, panels, in, kPanelColumns] transposed -> products [B, rows, out], all
// contiguous.
void MultiplyPacked(const torch::Tensor& inputs, const torch::Tensor& packed, const torch::Tensor& products);

}  // namespace kandinsky
