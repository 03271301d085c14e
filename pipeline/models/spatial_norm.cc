#include "pipeline/models/spatial_norm.h"

#include <utility>

namespace kandinsky {
namespace {

// diffusers fixes these for SpatialNorm, whatever norm_num_groups says.
constexpr int64_t kSpatialGroups = 32;
constexpr double kEps = 1e-6;

}  // namespace

SpatialNorm::SpatialNorm(int64_t channels, int64_t latent_channels)
    : norm_layer(register_module("norm_layer", std::make_shared<GroupNorm>(kSpatialGroups, channels, kEps))),
      conv_y(register_module("conv_y", MakeConv1x1(latent_channels, channels))),
      conv_b(register_module("conv_b", MakeConv1x1(latent_channels, channels))) {}

torch::Tensor SpatialNorm::forward(const torch::Tensor& x, const torch::Tensor& latents, bool silu) const {
  return norm_layer->forward(x, EpilogueOf(latents, silu));
}

torch::Tensor SpatialNorm::ForwardInPlace(torch::Tensor&& x, const torch::Tensor& latents, bool silu) const {
  return norm_layer->ForwardInPlace(std::move(x), EpilogueOf(latents, silu));
}

GroupNormEpilogue SpatialNorm::EpilogueOf(const torch::Tensor& latents, bool silu) const {
  return {
      .position_scale = conv_y->forward(latents), .position_shift = conv_b->forward(latents), .silu = silu};
}

AutoencoderNorm::AutoencoderNorm(torch::nn::Module& owner, const std::string& name, int64_t channels,
                                 const Options& options) {
  if (options.spatial()) {
    spatial_norm_ =
        owner.register_module(name, std::make_shared<SpatialNorm>(channels, options.latent_channels));
  } else {
    group_norm_ = owner.register_module(name, std::make_shared<GroupNorm>(options.groups, channels, kEps));
  }
}

torch::Tensor AutoencoderNorm::forward(const torch::Tensor& x, const torch::Tensor& latents,
                                       bool silu) const {
  return spatial_norm_ ? spatial_norm_->forward(x, latents, silu) : group_norm_->forward(x, {.silu = silu});
}

torch::Tensor AutoencoderNorm::ForwardInPlace(torch::Tensor&& x, const torch::Tensor& latents,
                                              bool silu) const {
  return spatial_norm_ ? spatial_norm_->ForwardInPlace(std::move(x), latents, silu)
                       : group_norm_->ForwardInPlace(std::move(x), {.silu = silu});
}

}  // namespace kandinsky
