#include "pipeline/samplers/noise_schedule.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

std::vector<float> ToVector(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.contiguous();
  return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

// Nichol & Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), eq. 17, betas capped at
// 0.999.
std::vector<float> SquaredCosineBetas(int count) {
  const auto alpha_bar = [](double time) {
    const double cosine = std::cos((time + 0.008) / 1.008 * std::numbers::pi / 2);
    return cosine * cosine;
  };
  std::vector<float> betas;
  betas.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const double from = static_cast<double>(i) / count;
    const double to = static_cast<double>(i + 1) / count;
    betas.push_back(static_cast<float>(std::min(1 - alpha_bar(to) / alpha_bar(from), 0.999)));
  }
  return betas;
}

}  // namespace

absl::StatusOr<NoiseSchedule> MakeNoiseSchedule(const SamplerConfig& config) {
  if (config.num_train_timesteps < 2 || config.num_train_timesteps > 1'000'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("num_train_timesteps ", config.num_train_timesteps, " is not within 2..1000000"));
  }
  NoiseSchedule schedule;
  if (config.beta_schedule == "linear") {
    if (!(config.beta_start > 0 && config.beta_start <= config.beta_end && config.beta_end < 1)) {
      return absl::InvalidArgumentError(absl::StrCat("beta_start ", config.beta_start, " and beta_end ",
                                                     config.beta_end,
                                                     " must satisfy 0 < beta_start <= beta_end < 1"));
    }
    schedule.betas =
        ToVector(torch::linspace(config.beta_start, config.beta_end, config.num_train_timesteps));
  } else if (config.beta_schedule == "squaredcos_cap_v2") {
    schedule.betas = SquaredCosineBetas(config.num_train_timesteps);
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("beta_schedule \"", config.beta_schedule, "\" is not linear or squaredcos_cap_v2"));
  }
  // torch's own cumulative product, because its rounding is part of the published numbers.
  const torch::Tensor betas = torch::tensor(schedule.betas);
  schedule.alphas_cumprod = ToVector(torch::cumprod(1 - betas, 0));
  return schedule;
}

absl::StatusOr<std::vector<int>> SpacedTimesteps(const SamplerConfig& config, int steps) {
  const int train_steps = config.num_train_timesteps;
  if (steps < 1 || steps > train_steps) {
    return absl::InvalidArgumentError(absl::StrCat("steps must be within 1..", train_steps, ", got ", steps));
  }
  if (config.steps_offset < 0 || config.steps_offset >= train_steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("steps_offset ", config.steps_offset, " is not within 0..", train_steps - 1));
  }
  const std::string spacing = config.timestep_spacing.value_or("leading");
  std::vector<int> timesteps(static_cast<size_t>(steps));
  for (int k = 0; k < steps; ++k) {
    int& timestep = timesteps[static_cast<size_t>(steps - 1 - k)];
    if (spacing == "leading") {
      timestep = k * (train_steps / steps) + config.steps_offset;
    } else if (spacing == "linspace") {
      const double stride = steps > 1 ? (train_steps - 1.0) / (steps - 1) : 0.0;
      timestep = static_cast<int>(std::nearbyint(k * stride));
    } else if (spacing == "trailing") {
      // The difference of the first two, as numpy's arange takes it; it decides how halves are rounded.
      const double stride = train_steps - (train_steps - static_cast<double>(train_steps) / steps);
      timestep = static_cast<int>(std::nearbyint(train_steps - (steps - 1 - k) * stride)) - 1;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("timestep_spacing \"", spacing, "\" is not leading, linspace or trailing"));
    }
  }
  if (timesteps.front() >= train_steps) {
    return absl::InvalidArgumentError(absl::StrCat("steps ", steps, " reach time-step ", timesteps.front(),
                                                   ", beyond the last one of ", train_steps - 1));
  }
  return timesteps;
}

std::vector<float> NoiseLevels(const NoiseSchedule& schedule, const std::vector<float>& timesteps) {
  const auto level = [&](size_t timestep) {
    const float alpha_cumprod = schedule.alphas_cumprod[timestep];
    return static_cast<double>(std::sqrt((1.0f - alpha_cumprod) / alpha_cumprod));
  };
  std::vector<float> levels;
  levels.reserve(timesteps.size() + 1);
  for (const float timestep : timesteps) {
    const auto below = static_cast<size_t>(timestep);
    const double fraction = static_cast<double>(timestep) - static_cast<double>(below);
    const double rise = fraction > 0 ? level(below + 1) - level(below) : 0.0;
    levels.push_back(static_cast<float>(rise * fraction + level(below)));
  }
  levels.push_back(0.0f);
  return levels;
}

int LargestStepCount(const SamplerConfig& config) {
  for (int steps = config.num_train_timesteps; steps > 0; --steps) {
    if (SpacedTimesteps(config, steps).ok()) return steps;
  }
  return 0;
}

}  // namespace kandinsky
