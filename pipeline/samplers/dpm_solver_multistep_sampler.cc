#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {
namespace {

// One noise level in the terms of the paper: a sample is alpha * picture + sigma * noise.
struct Level {
  explicit Level(float relative_sigma)
      : alpha(1.0f / std::sqrt(relative_sigma * relative_sigma + 1.0f)),
        sigma(relative_sigma * alpha),
        lambda(std::log(alpha) - std::log(sigma)) {}

  float alpha;
  float sigma;
  float lambda;  // half the logarithm of the signal-to-noise ratio; infinite at the end
};

class DpmSolverMultistepSampler : public Sampler {
 public:
  DpmSolverMultistepSampler(SamplerConfig config, const std::vector<float>& timesteps,
                            const std::vector<float>& levels)
      : Sampler(timesteps), config_(std::move(config)), levels_(levels.begin(), levels.end()) {}

  torch::Tensor AddNoise(const torch::Tensor& clean, const torch::Tensor& noise, int index) const override {
    const Level& level = levels_[static_cast<size_t>(index)];
    return level.alpha * clean + level.sigma * noise;
  }

  torch::Tensor Step(int index, const torch::Tensor& model_output, const torch::Tensor& sample,
                     NoiseSource /*noise*/) override {
    const Level& from = levels_[static_cast<size_t>(index)];
    const Level& to = levels_[static_cast<size_t>(index) + 1];
    const torch::Tensor clean = config_.prediction_type == "epsilon"
                                    ? (sample - from.sigma * model_output) / from.alpha
                                    : model_output;
    pending_ = {index, clean};
    const float stride = to.lambda - from.lambda;
    const float weight = to.alpha * (std::exp(-stride) - 1.0f);
    torch::Tensor next = (to.sigma / from.sigma) * sample - weight * clean;
    const bool looks_back = latest_.index == index - 1 && index > 0 && index + 1 < step_count();
    if (!looks_back) return next;
    const float stride_before = from.lambda - levels_[static_cast<size_t>(index) - 1].lambda;
    const torch::Tensor slope = 1.0f / (stride_before / stride) * (clean - latest_.clean);
    return next - 0.5f * weight * slope;
  }

  void Commit() override { latest_ = pending_; }

 private:
  // The clean sample that the step `index` predicted.
  struct Prediction {
    int index = -1;
    torch::Tensor clean;
  };

  const SamplerConfig config_;
  const std::vector<Level> levels_;
  Prediction pending_;
  Prediction latest_;
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
