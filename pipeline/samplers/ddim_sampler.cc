#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {
namespace {

enum Coefficient : size_t { kCleanWeight = kCleanCoefficients, kDirection, kDeviation };

StepResult DdimStep(const StepInputs& inputs) {
  const std::vector<torch::Tensor>& c = inputs.coefficients;
  const torch::Tensor clean = PredictCleanSample(inputs);
  // The un-clipped prediction gives the direction, as in diffusers (use_clipped_model_output false).
  const torch::Tensor epsilon = inputs.rule.predicts_noise
                                    ? inputs.prediction
                                    : (inputs.sample - c[kCleanShare] * clean).div_(c[kNoiseShare]);
  torch::Tensor next = (c[kCleanWeight] * clean).add_(c[kDirection] * epsilon);
  if (inputs.rule.draws_noise) next.add_(c[kDeviation] * inputs.noise);
  return {.next = std::move(next)};
}

class DdimSampler : public Sampler {
 public:
  DdimSampler(SamplerConfig config, NoiseSchedule schedule, std::vector<int> timesteps, float eta)
      : Sampler(timesteps),
        config_(std::move(config)),
        schedule_(std::move(schedule)),
        timesteps_(std::move(timesteps)),
        eta_(eta) {}

  NoiseMixture MixtureAt(int index) const override {
    return schedule_.MixtureAt(timesteps_[static_cast<size_t>(index)]);
  }

  StepTerms TermsAt(int index) const override {
    const int timestep = timesteps_[static_cast<size_t>(index)];
    // Not the next entry of the list: diffusers' DDIM subtracts the stride.
    const int previous = timestep - config_.num_train_timesteps / step_count();
    const float final_alpha = config_.set_alpha_to_one ? 1.0f : schedule_.alphas_cumprod.front();
    const float alpha_cumprod = schedule_.alpha_cumprod_or(timestep, 1.0f);
    const float alpha_cumprod_previous = schedule_.alpha_cumprod_or(previous, final_alpha);
    const float beta_cumprod = 1.0f - alpha_cumprod;
    const float variance =
        (1.0f - alpha_cumprod_previous) / beta_cumprod * (1.0f - alpha_cumprod / alpha_cumprod_previous);
    const float deviation = eta_ * std::sqrt(variance);
    const float direction = std::sqrt(1.0f - alpha_cumprod_previous - deviation * deviation);
    return {.rule = {.function = DdimStep,
                     .predicts_noise = config_.prediction_type == "epsilon",
                     .clip = ClipOf(config_),
                     .draws_noise = eta_ > 0},
            .coefficients = {std::sqrt(beta_cumprod), std::sqrt(alpha_cumprod),
                             std::sqrt(alpha_cumprod_previous), direction, deviation}};
  }

 private:
  const SamplerConfig config_;
  const NoiseSchedule schedule_;
  const std::vector<int> timesteps_;
  const float eta_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDdimSampler(const SamplerConfig& config, int steps, float eta) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckFixedVariance(config));
  if (!(eta >= 0.0f && eta <= 1.0f)) return absl::InvalidArgumentError("eta must be within 0..1");
  ASSIGN_OR_RETURN(NoiseSchedule schedule, MakeNoiseSchedule(config));
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(config, steps));
  return std::make_unique<DdimSampler>(config, std::move(schedule), std::move(timesteps), eta);
}

}  // namespace kandinsky
