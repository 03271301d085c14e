#include "pipeline/samplers/sampler.h"

#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {

torch::Tensor PredictCleanSample(const SamplerConfig& config, float alpha_cumprod,
                                 const torch::Tensor& model_output, const torch::Tensor& sample) {
  torch::Tensor clean = model_output;
  if (config.prediction_type == "epsilon") {
    clean = (sample - std::sqrt(1.0f - alpha_cumprod) * model_output) / std::sqrt(alpha_cumprod);
  }
  if (config.clip_sample) clean = clean.clamp(-config.clip_sample_range, config.clip_sample_range);
  return clean;
}

torch::Tensor DiffuseCleanSample(float alpha_cumprod, const torch::Tensor& clean,
                                 const torch::Tensor& noise) {
  return std::sqrt(alpha_cumprod) * clean + std::sqrt(1.0f - alpha_cumprod) * noise;
}

absl::Status CheckSamplerConfig(const SamplerConfig& config, bool can_threshold) {
  if (config.prediction_type != "epsilon" && config.prediction_type != "sample") {
    return absl::InvalidArgumentError(
        absl::StrCat("prediction_type \"", config.prediction_type, "\" is not epsilon or sample"));
  }
  if (can_threshold && config.thresholding) {
    return absl::InvalidArgumentError("thresholding true is not supported, it must be false");
  }
  return absl::OkStatus();
}

absl::Status CheckNoiseLevelRules(const SamplerConfig& config) {
  if (config.final_sigmas_type != "zero") {
    return absl::InvalidArgumentError(
        absl::StrCat("final_sigmas_type \"", config.final_sigmas_type, "\" is not zero"));
  }
  for (const auto& [key, wished] : {std::pair{"use_karras_sigmas", config.use_karras_sigmas},
                                    {"use_exponential_sigmas", config.use_exponential_sigmas},
                                    {"use_beta_sigmas", config.use_beta_sigmas}}) {
    if (wished)
      return absl::InvalidArgumentError(absl::StrCat(key, " true is not supported, it must be false"));
  }
  return absl::OkStatus();
}

absl::Status CheckFixedVariance(const SamplerConfig& config) {
  if (config.variance_type != "learned" && config.variance_type != "learned_range") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("variance_type \"", config.variance_type, "\" is supported only by DDPM"));
}

}  // namespace kandinsky
