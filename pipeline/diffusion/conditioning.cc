#include "pipeline/diffusion/conditioning.h"

#include <ATen/ATen.h>

#include <array>
#include <utility>
#include <vector>

#include "pipeline/samplers/batch_rows.h"

namespace kandinsky {
namespace {

torch::Tensor FurtherChannels(const Denoiser& denoiser, const ConditioningInputs& inputs) {
  if (inputs.hint.defined()) return denoiser.EncodeHint(inputs.hint);
  if (inputs.keep_mask.defined()) {
    return at::cat({inputs.image_latents * inputs.keep_mask, inputs.keep_mask}, 1);
  }
  return {};
}

torch::Tensor Blend(const torch::Tensor& keep, const torch::Tensor& image, const torch::Tensor& painted) {
  return (keep * image).add_((1 - keep) * painted);
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

torch::Tensor Conditioning::AfterStep(absl::Span<const RowStep> rows, torch::Tensor latents) {
  enum Group : size_t { kUnmasked, kBlended, kFinished, kGroups };
  RowGroups groups;
  std::array<std::vector<torch::Tensor>, kGroups> masks;
  std::array<std::vector<torch::Tensor>, kGroups> images;
  std::vector<torch::Tensor> noise;
  std::vector<NoiseMixture> mixtures;
  for (const auto& [conditioning, step] : rows) {
    const ConditioningInputs& inputs = conditioning->inputs_;
    const bool last = step + 1 == conditioning->sampler_.step_count();
    const Group group = !inputs.keep_mask.defined() ? kUnmasked : last ? kFinished : kBlended;
    groups.Add(group, 1);
    if (group == kUnmasked) continue;
    masks[group].push_back(inputs.keep_mask);
    images[group].push_back(inputs.image_latents);
    if (group == kFinished) continue;
    noise.push_back(conditioning->initial_latents_);
    mixtures.push_back(conditioning->sampler_.MixtureAt(step + 1));
  }
  std::array<torch::Tensor, kGroups> blended;
  for (size_t group = 0; group < kGroups; ++group) {
    torch::Tensor& result = blended[group];
    result = groups.Gather(group, latents);
    if (masks[group].empty()) continue;
    const torch::Tensor keep = at::cat(masks[group]);
    torch::Tensor image = at::cat(images[group]);
    if (group == kBlended) image = MixRows(mixtures, image, at::cat(noise));
    result = Blend(keep, image, result);
    // diffusers blends twice at the end, which shows with soft masks only.
    if (group == kFinished) result = Blend(keep, image, result);
  }
  return groups.Merge(blended);
}

}  // namespace kandinsky
