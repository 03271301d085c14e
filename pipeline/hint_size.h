#pragma once

namespace kandinsky {

// Pixels of a hint per latent cell and side. The hint block of the published depth U-Net halves a hint three
// times, whatever the autoencoder does with an image: what a hint must fit is the latents.
inline constexpr int kHintScale = 8;

// The edge of the hint for that of an image, a multiple of `latent_scale` (Capabilities::latent_scale): the
// same for published models.
constexpr int HintEdge(int image_edge, int latent_scale) { return image_edge / latent_scale * kHintScale; }

}  // namespace kandinsky
