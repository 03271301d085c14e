#pragma once

#include <torch/types.h>

#include <cstdint>

namespace kandinsky {

// 3x3 convolution, stride 1, padding 1, by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray,
// "Fast Algorithms for Convolutional Neural Networks", 2015): 16 multiplications for four outputs instead of
// 36, as 16 matrix products. The weight is used as it is stored, for every size and number of rows; oneDNN's
// direct convolution instead reorders it in every call, into a layout that depends on the size. The relative
// rounding error is about 6e-7, that of direct convolution about 2e-7.

// A transformed weight.
struct WinogradWeight {
  torch::Tensor panels;  // of PackWeights: [16, panels, in_channels, columns of a panel]
  int64_t out_channels = 0;
};

// weight [out_channels, in_channels, 3, 3]; the transformed one takes 16/9 of the memory, more where
// out_channels is no whole number of panels. float32 on the CPU.
WinogradWeight TransformWinogradWeight(const torch::Tensor& weight);

// x [N, in_channels, H, W], H and W of any size, `weight` of TransformWinogradWeight, bias [out_channels] or
// undefined -> [N, out_channels, H, W] in channels_last. Both channel counts are multiples of 4. float32 on
// the CPU; records no gradient. The bits of a row do not depend on the others, nor on the number of threads.
// Takes working memory of about 64 MB, more where a layer is wider than 2000 channels.
torch::Tensor WinogradConvolution(const torch::Tensor& x, const WinogradWeight& weight,
                                  const torch::Tensor& bias);

}  // namespace kandinsky
