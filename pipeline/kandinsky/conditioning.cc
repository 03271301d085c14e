#include "pipeline/kandinsky/conditioning.h"

#include <algorithm>
#include <utility>

namespace kandinsky {
namespace {

// Bounds the memory of a request with many steps: a full-size chunk of two rows takes 18 MB in float32.
constexpr int kTimeChunkSteps = 32;

torch::Tensor FurtherChannels(const UNet2DConditionModel& unet, const ConditioningInputs& inputs) {
  if (inputs.hint.defined()) return unet.encode_hint(inputs.hint);
  if (inputs.keep_mask.defined()) {
    return at::cat({inputs.image_latents * inputs.keep_mask, inputs.keep_mask}, 1);
  }
  return {};
}

}  // namespace

Conditioning::Conditioning(const UNet2DConditionModel& unet, const Sampler& sampler,
                           ConditioningInputs inputs)
    : sampler_(sampler),
      inputs_(std::move(inputs)),
      context_(unet.encode_context(inputs_.image_embeddings)),
      further_channels_(FurtherChannels(unet, inputs_)) {
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
  const auto blend = [&](const torch::Tensor& picture, const torch::Tensor& painted) {
    return keep * picture + (1 - keep) * painted;
  };
  if (step + 1 < sampler_.step_count()) {
    return blend(sampler_.AddNoise(inputs_.image_latents, initial_latents_, step + 1), latents);
  }
  // diffusers blends twice at the end, which shows with soft masks only.
  return blend(inputs_.image_latents, blend(inputs_.image_latents, latents));
}

Conditioning::TimeSlice Conditioning::TimeAt(const UNet2DConditionModel& unet, int step) {
  const int begin = step - step % kTimeChunkSteps;
  if (begin != chunk_begin_) {
    const std::vector<float>& all = sampler_.timesteps();
    const int end = std::min(begin + kTimeChunkSteps, sampler_.step_count());
    const torch::Tensor timesteps = torch::tensor(std::vector<float>(all.begin() + begin, all.begin() + end));
    time_chunk_ = unet.encode_time(timesteps.to(inputs_.image_embeddings.device()), inputs_.image_embeddings);
    chunk_begin_ = begin;
  }
  return {&time_chunk_, step - begin};
}

}  // namespace kandinsky
