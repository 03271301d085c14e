#include "pipeline/diffusion/conditioning.h"

#include <ATen/ATen.h>

#include <utility>

namespace kandinsky {
namespace {

torch::Tensor FurtherChannels(const Denoiser& denoiser, const ConditioningInputs& inputs) {
  if (inputs.hint.defined()) return denoiser.EncodeHint(inputs.hint);
  if (inputs.keep_mask.defined()) {
    return at::cat({inputs.image_latents * inputs.keep_mask, inputs.keep_mask}, 1);
  }
  return {};
}

}  // namespace

Conditioning::Conditioning(const Denoiser& denoiser, const Sampler& sampler, DenoiserCondition condition,
                           ConditioningInputs inputs)
    : sampler_(sampler),
      inputs_(std::move(inputs)),
      state_(denoiser.Start(std::move(condition), sampler.timesteps())),
      further_channels_(FurtherChannels(denoiser, inputs_)) {
  inputs_.hint.reset();
}

torch::Tensor Conditioning::InitialLatents(const torch::Tensor& noise) {
  if (inputs_.image_latents.defined() && !inputs_.keep_mask.defined()) {
    return sampler_.AddNoise(inputs_.image_latents, noise, inputs_.first_step);
  }
  torch::Tensor latents = noise * sampler_.init_noise_sigma();
  if (inputs_.keep_mask.defined()) initial_latents_ = latents;
  return latents;
}

torch::Tensor Conditioning::NetworkInput(const torch::Tensor& latents) const {
  const torch::Tensor input =
      further_channels_.defined() ? at::cat({latents, further_channels_}, 1) : latents;
  return input.expand({rows(), -1, -1, -1});
}

torch::Tensor Conditioning::AfterStep(int step, torch::Tensor latents) const {
  if (!inputs_.keep_mask.defined()) return latents;
  const torch::Tensor& keep = inputs_.keep_mask;
  const auto blend = [&](const torch::Tensor& image, const torch::Tensor& painted) {
    return keep * image + (1 - keep) * painted;
  };
  if (step + 1 < sampler_.step_count()) {
    return blend(sampler_.AddNoise(inputs_.image_latents, initial_latents_, step + 1), latents);
  }
  // diffusers blends twice at the end, which shows with soft masks only.
  return blend(inputs_.image_latents, blend(inputs_.image_latents, latents));
}

}  // namespace kandinsky
