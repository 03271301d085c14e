#include "pipeline/samplers/sampler.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {

torch::Tensor Sampler::AddNoise(const torch::Tensor& clean, const torch::Tensor& noise, int index) const {
  const NoiseMixture mixture = MixtureAt(index);
  return mixture.clean * clean + mixture.noise * noise;
}

torch::Tensor PredictCleanSample(const StepInputs& inputs) {
  torch::Tensor clean = inputs.prediction;
  if (inputs.rule.predicts_noise) {
    const torch::Tensor noise = inputs.coefficients[kNoiseShare] * inputs.prediction;
    clean = (inputs.sample - noise).div_(inputs.coefficients[kCleanShare]);
  }
  if (inputs.rule.clip.has_value()) clean = clean.clamp(-*inputs.rule.clip, *inputs.rule.clip);
  return clean;
}

std::optional<float> ClipOf(const SamplerConfig& config) {
  return config.clip_sample ? std::optional(config.clip_sample_range) : std::nullopt;
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
