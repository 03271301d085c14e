#include "training/noising.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace kandinsky::training {

absl::StatusOr<Noising> Noising::Make(const SamplerConfig& config) {
  ASSIGN_OR_RETURN(const NoiseSchedule schedule, MakeNoiseSchedule(config));
  return Noising(torch::tensor(at::ArrayRef<float>(schedule.alphas_cumprod)));
}

torch::Tensor Noising::AddNoise(const torch::Tensor& clean, const torch::Tensor& noise,
                                const torch::Tensor& timesteps) const {
  std::vector<int64_t> shape(static_cast<size_t>(clean.dim()), 1);
  shape[0] = clean.size(0);
  const torch::Tensor kept = alphas_cumprod_.index_select(0, timesteps).view(shape);
  return kept.sqrt() * clean + (1 - kept).sqrt() * noise;
}

torch::Tensor Noising::SignalToNoise(const torch::Tensor& timesteps) const {
  const torch::Tensor kept = alphas_cumprod_.index_select(0, timesteps);
  return kept / (1 - kept);
}

torch::Tensor WeightedSquaredError(const torch::Tensor& prediction, const torch::Tensor& target,
                                   const torch::Tensor& snr, double snr_gamma, Prediction kind) {
  const torch::Tensor squared = (prediction.to(torch::kFloat) - target.to(torch::kFloat)).square();
  if (snr_gamma <= 0) return squared.mean();
  torch::Tensor weight = snr.clamp_max(snr_gamma);
  if (kind == Prediction::kNoise) weight = weight / snr;
  return (squared.flatten(1).mean(1) * weight).mean();
}

}  // namespace kandinsky::training
