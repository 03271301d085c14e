#pragma once

#include <torch/types.h>

#include "imaging/image.h"
#include "pipeline/device/placement.h"
#include "pipeline/diffusion/autoencoder.h"

namespace kandinsky {

// [3, H, W] in about -1..1 to 8-bit RGB, rounding half to even as diffusers does.
Image ToImage(const torch::Tensor& pixels);

// The linear map from latents to colors that comes closest to what `autoencoder` makes of latents:
// [channels + 1, 3], the channels and a constant, for colors in -1..1. Fitted by least squares to the images
// of two smooth random latents of 16 x 16 cells, averaged over each cell; always the same for the same
// weights. Runs the decoder once.
torch::Tensor FitLatentToRgb(const Autoencoder& autoencoder, const Placement& placement);

// An image of unfinished latents [1, channels, height, width], one pixel per cell, with a map of
// FitLatentToRgb.
Image PreviewOf(const torch::Tensor& latents, const torch::Tensor& latent_to_rgb);

}  // namespace kandinsky
