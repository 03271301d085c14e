#pragma once

#include <torch/types.h>

#include "imaging/image.h"
#include "pipeline/models/vq_model.h"

namespace kandinsky {

// [3, H, W] in about -1..1 to 8-bit RGB, rounding half to even as diffusers does.
Image ToImage(const torch::Tensor& pixels);

// The linear map from latents to colours that comes closest to what `movq` makes of latents: [5, 3], four
// channels and a constant, for colours in -1..1. Fitted by least squares to the pictures of two smooth random
// latents of 16 x 16 cells, averaged over each cell; always the same for the same weights. Runs the decoder
// once.
torch::Tensor FitLatentToRgb(const VQModel& movq);

// A picture of unfinished latents [1, 4, height, width], one pixel per cell, with a map of FitLatentToRgb.
Image PreviewOf(const torch::Tensor& latents, const torch::Tensor& latent_to_rgb);

}  // namespace kandinsky
