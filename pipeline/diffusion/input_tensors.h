#pragma once

#include <torch/types.h>

#include "imaging/image.h"

namespace kandinsky {

// Images as tensors of the host; Placement moves them.

// [1, 3, height, width] in -1..1, as the image autoencoder takes images. `image` is RGB.
torch::Tensor ToPixels(const Image& image);

// [1, 3, height, width] normalized by channel `mean` and `std` ([3] each, for colors in 0..1), as CLIP's
// vision tower takes images. `image` is RGB.
torch::Tensor ToClipPixels(const Image& image, const torch::Tensor& mean, const torch::Tensor& std);

// The keep-mask of an inpainting mask (gray, 255 repaints) on latents of height x width: [1, 1, height,
// width], 1 where the image is kept. A binary one is cut at one half, taken at every latent cell's first
// pixel, and then every cell that is repainted makes six of its neighbors repainted too (not the upper right
// and the lower left one): the preparation of diffusers (prepare_mask).
torch::Tensor BinaryKeepMask(const Image& mask, int64_t height, int64_t width);

// The same for a soft mask: 1 minus the mean of each cell; nothing grows.
torch::Tensor SoftKeepMask(const Image& mask, int64_t height, int64_t width);

}  // namespace kandinsky
