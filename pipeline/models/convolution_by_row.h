#pragma once

#include <torch/types.h>

#include <cstdint>

namespace kandinsky {

// Direct convolution of float32 images in channels_last on the CPU, as matrix products over runs of pixels.
// The bits of an image depend neither on the others nor on the number of threads (see matrix_kernel.h).
// Records no gradient.
//
// x [N, in, H, W], weight [out, in, kernel, kernel] in channels_last, bias [out] or undefined -> [N, out, H',
// W'] in channels_last.
torch::Tensor ConvolutionByRow(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                               int64_t stride, int64_t padding);

}  // namespace kandinsky
