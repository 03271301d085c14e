#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/samplers/step_terms.h"

namespace kandinsky {
namespace {

// One noise level in the terms of the paper: a sample is alpha * image + sigma * noise.
struct Level {
  explicit Level(float relative_sigma)
      : alpha(1.0f / std::sqrt(relative_sigma * relative_sigma + 1.0f)),
        sigma(relative_sigma * alpha),
        lambda(std::log(alpha) - std::log(sigma)) {}

  float alpha;
  float sigma;
  float lambda;  // half the logarithm of the signal-to-noise ratio; infinite at the end
};

enum Coefficient : size_t { kSampleWeight = kCleanCoefficients, kCleanWeight, kSlopeFactor, kSlopeWeight };

StepResult DpmSolverStep(const StepInputs& inputs) {
  const std::vector<torch::Tensor>& c = inputs.coefficients;
  const torch::Tensor clean = PredictCleanSample(inputs);
  torch::Tensor next = (c[kSampleWeight] * inputs.sample).sub_(c[kCleanWeight] * clean);
  if (inputs.rule.looks_back) {
    const torch::Tensor slope = c[kSlopeFactor] * (clean - inputs.history);
    next.sub_(c[kSlopeWeight] * slope);
  }
  return {.next = std::move(next), .clean = clean};
}

class DpmSolverMultistepSampler : public Sampler {
 public:
  DpmSolverMultistepSampler(SamplerConfig config, const std::vector<float>& timesteps,
                            const std::vector<float>& levels)
      : Sampler(timesteps), config_(std::move(config)), levels_(levels.begin(), levels.end()) {}

  NoiseMixture MixtureAt(int index) const override {
    const Level& level = levels_[static_cast<size_t>(index)];
    return {level.alpha, level.sigma};
  }

  StepTerms TermsAt(int index) const override {
    const Level& from = levels_[static_cast<size_t>(index)];
    const Level& to = levels_[static_cast<size_t>(index) + 1];
    const float stride = to.lambda - from.lambda;
    const float weight = to.alpha * (std::exp(-stride) - 1.0f);
    StepTerms terms{
        .rule = {.function = DpmSolverStep, .predicts_noise = config_.prediction_type == "epsilon"},
        .coefficients = {from.sigma, from.alpha, to.sigma / from.sigma, weight}};
    if (index == 0 || index + 1 == step_count()) return terms;
    terms.history = CleanOf(index - 1);
    if (!terms.history.defined()) return terms;
    terms.rule.looks_back = true;
    const float stride_before = from.lambda - levels_[static_cast<size_t>(index) - 1].lambda;
    terms.coefficients.push_back(1.0f / (stride_before / stride));
    terms.coefficients.push_back(0.5f * weight);
    return terms;
  }

 private:
  const SamplerConfig config_;
  const std::vector<Level> levels_;
};

absl::Status CheckSolver(const SamplerConfig& config) {
  RETURN_IF_ERROR(CheckSamplerConfig(config));
  RETURN_IF_ERROR(CheckFixedVariance(config));
  RETURN_IF_ERROR(CheckNoiseLevelRules(config));
  for (const auto& [key, wished] :
       {std::pair{"use_lu_lambdas", config.use_lu_lambdas}, {"use_flow_sigmas", config.use_flow_sigmas}}) {
    if (wished)
      return absl::InvalidArgumentError(absl::StrCat(key, " true is not supported, it must be false"));
  }
  if (config.lambda_min_clipped.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("lambda_min_clipped ", *config.lambda_min_clipped,
                                                   " is not supported, it must be -Infinity"));
  }
  if (config.algorithm_type != "dpmsolver++") {
    return absl::InvalidArgumentError(
        absl::StrCat("algorithm_type \"", config.algorithm_type, "\" is not dpmsolver++"));
  }
  if (config.solver_type != "midpoint") {
    return absl::InvalidArgumentError(
        absl::StrCat("solver_type \"", config.solver_type, "\" is not midpoint"));
  }
  if (config.solver_order != 2) {
    return absl::InvalidArgumentError(absl::StrCat("solver_order ", config.solver_order, " is not 2"));
  }
  return absl::OkStatus();
}

// With "linspace" and "leading", diffusers spaces one time-step more than asked for and leaves the last out.
absl::StatusOr<std::vector<int>> SolverTimesteps(SamplerConfig config, int steps) {
  if (!config.timestep_spacing.has_value()) config.timestep_spacing = "linspace";
  if (config.timestep_spacing == "trailing") return SpacedTimesteps(config, steps);
  if (steps < 1 || steps >= config.num_train_timesteps) {
    return absl::InvalidArgumentError(
        absl::StrCat("steps must be within 1..", config.num_train_timesteps - 1, ", got ", steps));
  }
  ASSIGN_OR_RETURN(std::vector<int> timesteps, SpacedTimesteps(config, steps + 1));
  timesteps.pop_back();
  return timesteps;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sampler>> MakeDpmSolverMultistepSampler(const SamplerConfig& config,
                                                                       int steps) {
  RETURN_IF_ERROR(CheckSolver(config));
  ASSIGN_OR_RETURN(const NoiseSchedule schedule, MakeNoiseSchedule(config));
  ASSIGN_OR_RETURN(const std::vector<int> whole, SolverTimesteps(config, steps));
  const std::vector<float> timesteps(whole.begin(), whole.end());
  return std::make_unique<DpmSolverMultistepSampler>(config, timesteps, NoiseLevels(schedule, timesteps));
}

}  // namespace kandinsky
