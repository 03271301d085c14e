#pragma once

#include <torch/types.h>

namespace kandinsky {

// 3x3 convolution, stride 1, padding 1, by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2015): 16 multiplications for four outputs instead of
// 36, as 16 matrix products. The weight is used as it is stored, for every size and number of rows; oneDNN's
// direct convolution instead reorders it in every call, into a layout that depends on the size. The relative
// rounding error is about 6e-7, that of direct convolution about 2e-7.

// [out_channels, in_channels, 3, 3] -> [16, out_channels, in_channels]: 16/9 of the memory. float32 on the
// CPU.
torch::Tensor TransformWinogradWeight(const torch::Tensor& weight);

// x [N, in_channels, H, W], H and W of any size, `transformed` of TransformWinogradWeight, bias
// [out_channels] or undefined -> [N, out_channels, H, W] in channels_last. Both channel counts are multiples
// of 4. float32 on the CPU; records no gradient. Takes working memory of about 64 MB, more where a layer is
// wider than 2000 channels.
torch::Tensor WinogradConvolution(const torch::Tensor& x, const torch::Tensor& transformed,
                                  const torch::Tensor& bias);

}  // namespace kandinsky
