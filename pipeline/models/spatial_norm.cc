#include "pipeline/models/spatial_norm.h"

namespace kandinsky {
namespace {

// diffusers fixes these for SpatialNorm, whatever norm_num_groups says.
constexpr int64_t kSpatialGroups = 32;
constexpr double kEps = 1e-6;

// x * scale + shift with x [N, C, H, W] in channels_last and scale, shift [N, C, h, w] where H and W are
// multiples of h and w: broadcasts inside each enlarged position instead of writing enlarged copies.
torch::Tensor ModulateBlockwise(const torch::Tensor& x, const torch::Tensor& scale,
                                const torch::Tensor& shift) {
  const int64_t rows = x.size(0), channels = x.size(1), height = scale.size(2), width = scale.size(3);
  const int64_t full_height = x.size(2), full_width = x.size(3);
  const auto positions = [&](const torch::Tensor& t) {
    return t.permute({0, 2, 3, 1}).reshape({rows, height, 1, width, 1, channels});
  };
  const torch::Tensor blocks =
      x.permute({0, 2, 3, 1}).view({rows, height, full_height / height, width, full_width / width, channels});
  const torch::Tensor modulated = at::addcmul(positions(shift), blocks, positions(scale));
  return modulated.reshape({rows, full_height, full_width, channels}).permute({0, 3, 1, 2});
}

}  // namespace

SpatialNorm::SpatialNorm(int64_t channels, int64_t latent_channels)
    : norm_layer(register_module("norm_layer", std::make_shared<GroupNorm>(kSpatialGroups, channels, kEps))),
      conv_y(register_module("conv_y", MakeConv1x1(latent_channels, channels))),
      conv_b(register_module("conv_b", MakeConv1x1(latent_channels, channels))) {}

torch::Tensor SpatialNorm::forward(const torch::Tensor& x, const torch::Tensor& latents) const {
  const torch::Tensor normalized = norm_layer->forward(x);
  const torch::Tensor scale = conv_y->forward(latents);
  const torch::Tensor shift = conv_b->forward(latents);
  const bool whole_blocks = x.size(2) % scale.size(2) == 0 && x.size(3) % scale.size(3) == 0;
  if (whole_blocks && normalized.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    return ModulateBlockwise(normalized, scale, shift);
  }
  const auto enlarge = [&](const torch::Tensor& t) {
    return at::upsample_nearest2d(t, {x.size(2), x.size(3)});
  };
  return normalized * enlarge(scale) + enlarge(shift);
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

torch::Tensor AutoencoderNorm::forward(const torch::Tensor& x, const torch::Tensor& latents) const {
  return spatial_norm_ ? spatial_norm_->forward(x, latents) : group_norm_->forward(x);
}

}  // namespace kandinsky
