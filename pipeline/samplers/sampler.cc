#include "pipeline/samplers/sampler.h"

#include <cmath>

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

absl::Status CheckSamplerConfig(const SamplerConfig& config) {
  if (config.prediction_type != "epsilon" && config.prediction_type != "sample") {
    return absl::InvalidArgumentError(
        absl::StrCat("prediction_type \"", config.prediction_type, "\" is not epsilon or sample"));
  }
  if (config.thresholding) return absl::InvalidArgumentError("thresholding true is not supported");
  return absl::OkStatus();
}

}  // namespace kandinsky
