#include "pipeline/diffusion/latent_preview.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>

namespace kandinsky {
namespace {

constexpr int64_t kCells = 16;       // edge of the latents that the map is fitted to
constexpr int64_t kSmoothCells = 4;  // edge of the random grid that they are interpolated from
constexpr double kRidge = 1e-3;      // keeps the fit finite when a decoder ignores a channel

// [1, channels, h, w] to [h w, channels + 1]: one row per cell, with a one for the constant.
torch::Tensor WithConstant(const torch::Tensor& latents) {
  const torch::Tensor cells = latents.to(torch::kFloat32).permute({0, 2, 3, 1}).flatten(0, 2);
  return at::cat({cells, at::ones({cells.size(0), 1}, cells.options())}, 1);
}

}  // namespace

Image ToImage(const torch::Tensor& pixels) {
  const torch::Tensor scaled = (pixels.to(torch::kFloat32) * 0.5 + 0.5).clamp(0, 1).mul(255).round();
  const torch::Tensor rows = scaled.to(torch::kCPU, torch::kUInt8).permute({1, 2, 0}).contiguous();
  const uint8_t* values = rows.data_ptr<uint8_t>();
  return {static_cast<int>(rows.size(1)),
          static_cast<int>(rows.size(0)),
          static_cast<int>(rows.size(2)),
          {values, values + rows.numel()}};
}

torch::Tensor FitLatentToRgb(const Autoencoder& autoencoder, const Placement& placement) {
  const c10::InferenceMode inference_mode;
  const at::Generator generator = at::detail::createCPUGenerator(/*seed_val=*/1);
  const torch::Tensor grid =
      placement.Noise({2, autoencoder.latent_channels(), kSmoothCells, kSmoothCells}, generator);
  const torch::Tensor latents = at::upsample_bilinear2d(grid, {kCells, kCells}, /*align_corners=*/false);
  const torch::Tensor pixels = autoencoder.Decode(latents);
  const torch::Tensor means = at::adaptive_avg_pool2d(pixels.to(torch::kFloat32), {kCells, kCells});
  const torch::Tensor colors = means.clamp(-1, 1).permute({0, 2, 3, 1}).flatten(0, 2);
  const torch::Tensor cells = WithConstant(latents);
  const torch::Tensor normal =
      at::matmul(cells.t(), cells) + kRidge * at::eye(cells.size(1), cells.options());
  return at::linalg_solve(normal, at::matmul(cells.t(), colors));
}

Image PreviewOf(const torch::Tensor& latents, const torch::Tensor& latent_to_rgb) {
  const c10::InferenceMode inference_mode;
  const torch::Tensor colors = at::matmul(WithConstant(latents), latent_to_rgb);
  return ToImage(colors.t().reshape({3, latents.size(2), latents.size(3)}));
}

}  // namespace kandinsky
