#include "training/training_losses.h"

#include <ATen/ATen.h>

namespace kandinsky::training {

torch::Tensor PriorLoss(const PriorTransformer& prior, const Noising& noising, const PriorBatch& batch,
                        double snr_gamma) {
  // The statistics are facts about the vision tower: were they trained, the target would shrink.
  const torch::Tensor target = (batch.image_embeds - prior.clip_mean.detach()) / prior.clip_std.detach();
  const torch::Tensor noisy = noising.AddNoise(target, batch.noise, batch.timesteps);
  const torch::Tensor predicted =
      prior.forward(noisy, batch.timesteps, batch.text_embeds, batch.text_hidden, batch.text_mask);
  return WeightedSquaredError(predicted, target, noising.SignalToNoise(batch.timesteps), snr_gamma,
                              Prediction::kSample);
}

torch::Tensor DecoderLoss(const UNet2DConditionModel& unet, const Noising& noising, const DecoderBatch& batch,
                          double snr_gamma) {
  torch::Tensor input = noising.AddNoise(batch.latents, batch.noise, batch.timesteps);
  if (batch.further_channels.defined()) input = at::cat({input, batch.further_channels}, 1);
  const torch::Tensor predicted =
      unet.forward(input, batch.timesteps, batch.image_embeds).narrow(1, 0, batch.latents.size(1));
  return WeightedSquaredError(predicted, batch.noise, noising.SignalToNoise(batch.timesteps), snr_gamma,
                              Prediction::kNoise);
}

}  // namespace kandinsky::training
