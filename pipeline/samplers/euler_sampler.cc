#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {
namespace {

enum class Noise { kNone, kEveryStep };

enum Coefficient : size_t { kLevel, kStride, kDeviation };

StepResult EulerStep(const StepInputs& inputs) {
  const std::vector<torch::Tensor>& c = inputs.coefficients;
  const torch::Tensor clean =
      inputs.rule.predicts_noise ? inputs.sample - c[kLevel] * inputs.prediction : inputs.prediction;
  const torch::Tensor derivative = (inputs.sample - clean).div_(c[kLevel]);
  torch::Tensor next = inputs.sample + derivative * c[kStride];
  if (inputs.rule.draws_noise) next.add_(inputs.noise * c[kDeviation]);
  return {.next = std::move(next)};
}

class EulerSampler : public Sampler {
 public:
  // `levels`: NoiseLevels of `timesteps`.
  EulerSampler(SamplerConfig config, const std::vector<float>& timesteps, std::vector<float> levels,
               Noise noise)
      : Sampler(timesteps), config_(std::move(config)), levels_(std::move(levels)), noise_(noise) {}

  float init_noise_sigma() const override {
    const float largest = *std::max_element(levels_.begin(), levels_.end());
    return config_.timestep_spacing == "leading" ? std::sqrt(largest * largest + 1.0f) : largest;
  }

  NoiseMixture MixtureAt(int index) const override { return {1.0f, levels_[static_cast<size_t>(index)]}; }

  StepTerms TermsAt(int index) const override {
    const float level = levels_[static_cast<size_t>(index)];
    const auto [target, deviation] = TargetOf(level, levels_[static_cast<size_t>(index) + 1]);
    return {.rule = {.function = EulerStep,
                     .predicts_noise = config_.prediction_type == "epsilon",
                     .draws_noise = noise_ == Noise::kEveryStep},
            .coefficients = {level, target - level, deviation}};
  }

 private:
  // A step goes down to the level `target`; noise of `deviation` lifts the result to the next one.
  struct Target {
    float target;
    float deviation;
  };

  Target TargetOf(float level, float next) const {
    if (noise_ == Noise::kNone) return {next, 0.0f};
    const float variance = next * next * (level * level - next * next) / (level * level);
    const float deviation = std::sqrt(variance);
    return {std::sqrt(std::max(next * next - deviation * deviation, 0.0f)), deviation};
  }

  const SamplerConfig config_;
  const std::vector<float> levels_;
  const Noise noise_;
};

// numpy's linspace from the last training time-step to 0: fractional, unlike DDPM's.
std::vector<float> EvenTimesteps(int train_steps, int steps) {
  const double stride = steps > 1 ? (train_steps - 1.0) / (steps - 1) : 0.0;
  std::vector<float> timesteps;
  timesteps.reserve(static_cast<size_t>(steps));
  for (int k = steps - 1; k >= 0; --k) timesteps.push_back(static_cast<float>(k * stride));
  // The product may miss the end by a rounding. A single step visits 0, as in diffusers.
  if (steps > 1) timesteps.front() = static_cast<float>(train_steps - 1);
  return timesteps;
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeEuler(SamplerConfig config, int steps, Noise noise) {
  RETURN_IF_ERROR(CheckSamplerConfig(config, /*can_threshold=*/false));
  RETURN_IF_ERROR(CheckFixedVariance(config));
  ASSIGN_OR_RETURN(const NoiseSchedule schedule, MakeNoiseSchedule(config));
  if (!config.timestep_spacing.has_value()) config.timestep_spacing = "linspace";
  // Also checks spacing and number.
  ASSIGN_OR_RETURN(const std::vector<int> rounded, SpacedTimesteps(config, steps));
  const std::vector<float> timesteps = config.timestep_spacing == "linspace"
                                           ? EvenTimesteps(config.num_train_timesteps, steps)
                                           : std::vector<float>(rounded.begin(), rounded.end());
  std::vector<float> levels = NoiseLevels(schedule, timesteps);
  return std::make_unique<EulerSampler>(std::move(config), timesteps, std::move(levels), noise);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeEulerSampler(const SamplerConfig& config, int steps) {
  RETURN_IF_ERROR(CheckNoiseLevelRules(config));
  if (config.interpolation_type != "linear") {
    return absl::InvalidArgumentError(
        absl::StrCat("interpolation_type \"", config.interpolation_type, "\" is not linear"));
  }
  return MakeEuler(config, steps, Noise::kNone);
}

absl::StatusOr<std::unique_ptr<Sampler>> MakeEulerAncestralSampler(const SamplerConfig& config, int steps) {
  if (config.prediction_type != "epsilon") {
    return absl::InvalidArgumentError(
        absl::StrCat("prediction_type \"", config.prediction_type, "\" is not epsilon"));
  }
  return MakeEuler(config, steps, Noise::kEveryStep);
}

}  // namespace kandinsky
