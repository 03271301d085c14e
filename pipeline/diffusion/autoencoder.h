#pragma once

#include <torch/types.h>

namespace kandinsky {

// An image autoencoder. Latents are as the denoiser takes them: a factor between the two belongs in here.
// Immutable and thread-safe. Throws what libtorch throws.
class Autoencoder {
 public:
  virtual ~Autoencoder() = default;

  // Pixels per latent cell and side.
  virtual int scale() const = 0;
  virtual int latent_channels() const = 0;

  // [N, 3, H, W] in -1..1, sides multiples of scale() -> float32 latents [N, latent_channels, h, w].
  virtual torch::Tensor Encode(const torch::Tensor& pixels) const = 0;

  // Latents [N, latent_channels, h, w] -> pixels [N, 3, H, W], about -1..1, not clamped.
  virtual torch::Tensor Decode(const torch::Tensor& latents) const = 0;
};

}  // namespace kandinsky
