// DDPM and UnCLIP: both draw from the posterior q(x_previous | x_t, x_0). They differ in the time-steps, in
// how diffusers rounds beta between neighbouring time-steps, and in how it rounds the standard deviation.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {
namespace {

enum class Rounding { kDdpm, kUnclip };

class AncestralSampler : public Sampler {
 public:
  AncestralSampler(SamplerConfig config, NoiseSchedule schedule, std::vector<int> timesteps,
                   Rounding rounding)
      : Sampler(timesteps),
        config_(std::move(config)),
        schedule_(std::move(schedule)),
        timesteps_(std::move(timesteps)),
        rounding_(rounding) {}

  torch::Tensor Step(int index, const torch::Tensor& model_output, const torch::Tensor& sample,
                     NoiseSource noise) override {
    const int timestep = timesteps_[static_cast<size_t>(index)];
    const int previous = index + 1 < step_count() ? timesteps_[static_cast<size_t>(index) + 1] : -1;
    const float alpha_cumprod = schedule_.alpha_cumprod_or(timestep, 1.0f);
    const float alpha_cumprod_previous = schedule_.alpha_cumprod_or(previous, 1.0f);
    const float beta_cumprod = 1.0f - alpha_cumprod;
    const float beta_cumprod_previous = 1.0f - alpha_cumprod_previous;
    const auto [alpha, beta] = Rates(timestep, previous, alpha_cumprod / alpha_cumprod_previous);

    const torch::Tensor clean = PredictCleanSample(config_, alpha_cumprod, model_output, sample);
    const float clean_weight = std::sqrt(alpha_cumprod_previous) * beta / beta_cumprod;
    const float sample_weight = std::sqrt(alpha) * beta_cumprod_previous / beta_cumprod;
    torch::Tensor mean = clean_weight * clean + sample_weight * sample;
    if (timestep == 0) return mean;
    // The published decoders end at time-step 1, so the last step does draw noise, scaled by 1e-10.
    const float variance = std::max(beta_cumprod_previous / beta_cumprod * beta, 1e-20f);
    return mean + StandardDeviation(variance) * noise();
  }

 private:
  struct AlphaBeta {
    float alpha;
    float beta;
  };

  AlphaBeta Rates(int timestep, int previous, float alpha) const {
    if (rounding_ == Rounding::kDdpm) return {alpha, 1.0f - alpha};
    const float beta =
        previous == timestep - 1 ? schedule_.betas[static_cast<size_t>(timestep)] : 1.0f - alpha;
    return {1.0f - beta, beta};
  }

  float StandardDeviation(float variance) const {
    return rounding_ == Rounding::kUnclip ? std::exp(0.5f * std::log(variance)) : std::sqrt(variance);
  }

  const SamplerConfig config_;
  const NoiseSchedule schedule_;
  const std::vector<int> timesteps_;
  const Rounding rounding_;
};

absl::Status CheckVarianceType(const SamplerConfig& config, const char* supported) {
  if (config.variance_type == supported) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("variance_type \"", config.variance_type, "\" is not ", supported));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmSampler(const SamplerConfig& config, int steps) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckVarianceType(config, "fixed_small"));
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(config, steps));
  return std::make_unique<AncestralSampler>(config, std::move(schedule), std::move(timesteps),
                                            Rounding::kDdpm);
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeUnclipSampler(const SamplerConfig& config, int steps) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckVarianceType(config, "fixed_small_log"));
  if (steps < 2 || steps > config.num_train_timesteps) {
    return absl::InvalidArgumentError(
        absl::StrCat("prior_steps must be within 2..", config.num_train_timesteps, ", got ", steps));
  }
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  SamplerConfig spacing = config;
  spacing.timestep_spacing = "linspace";
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(spacing, steps));
  return std::make_unique<AncestralSampler>(config, std::move(schedule), std::move(timesteps),
                                            Rounding::kUnclip);
}

}  // namespace kandinsky
