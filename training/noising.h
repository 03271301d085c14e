#pragma once

#include <torch/types.h>

#include "absl/status/statusor.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky::training {

// The forward process that training samples from: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, with a_t the
// cumulative product of the schedule's alphas (Ho et al. 2020, eq. 4; diffusers' add_noise).
class Noising {
 public:
  // INVALID_ARGUMENT as MakeNoiseSchedule.
  static absl::StatusOr<Noising> Make(const SamplerConfig& config);

  int64_t num_timesteps() const { return alphas_cumprod_.numel(); }

  // clean and noise [B, ...] of one shape, timesteps int64 [B] within the range -> as clean.
  torch::Tensor AddNoise(const torch::Tensor& clean, const torch::Tensor& noise,
                         const torch::Tensor& timesteps) const;

  // a_t / (1 - a_t), [B].
  torch::Tensor SignalToNoise(const torch::Tensor& timesteps) const;

 private:
  explicit Noising(torch::Tensor alphas_cumprod) : alphas_cumprod_(std::move(alphas_cumprod)) {}

  torch::Tensor alphas_cumprod_;  // [T]
};

// What a network that was trained with the min-SNR weighting predicts (Hang et al. 2023).
enum class Prediction { kSample, kNoise };

// Mean over everything of the squared error, prediction and target [B, ...] in float32. With `snr_gamma` > 0
// each row's mean counts min(SNR, gamma) times when the clean sample is predicted, and that divided by SNR
// when noise is; `snr` [B] may be undefined without it.
torch::Tensor WeightedSquaredError(const torch::Tensor& prediction, const torch::Tensor& target,
                                   const torch::Tensor& snr, double snr_gamma, Prediction kind);

}  // namespace kandinsky::training
