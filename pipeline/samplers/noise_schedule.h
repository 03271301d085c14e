#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace kandinsky {

// The published scheduler_config.json, with its field names and diffusers' defaults. It serves every sampler,
// not only the one of the file's class (from_config in diffusers); keys that have no effect on a sampler
// (e.g. clip_sample for Euler) are carried and ignored, as diffusers does.
struct SamplerConfig {
  int num_train_timesteps = 1000;
  float beta_start = 0.0001f;
  float beta_end = 0.02f;
  std::string beta_schedule = "linear";     // "linear" or "squaredcos_cap_v2"
  std::string prediction_type = "epsilon";  // "epsilon" or "sample"
  std::string variance_type = "fixed_small";
  // "leading", "trailing" or "linspace". Absent: "leading" for DDPM and DDIM, "linspace" for the solvers.
  std::optional<std::string> timestep_spacing;
  int steps_offset = 0;
  bool clip_sample = true;
  float clip_sample_range = 1.0f;
  bool set_alpha_to_one =
      true;  // DDIM: the step after the last one goes to alpha 1 instead of the first alpha
  bool thresholding = false;

  // Read by EulerDiscreteScheduler and DPMSolverMultistepScheduler, or one of them. The samplers implement
  // the defaults and refuse other values; what makes no difference to the defaults (e.g. lower_order_final)
  // is left out.
  std::string final_sigmas_type = "zero";
  std::string interpolation_type = "linear";
  bool use_karras_sigmas = false;
  bool use_exponential_sigmas = false;
  bool use_beta_sigmas = false;
  bool use_lu_lambdas = false;
  bool use_flow_sigmas = false;
  std::string algorithm_type = "dpmsolver++";
  std::string solver_type = "midpoint";
  int solver_order = 2;
  std::optional<float> lambda_min_clipped;  // absent: minus infinity
};

// What a noisy sample consists of: `clean` times the clean sample plus `noise` times standard normal noise.
struct NoiseMixture {
  float clean;
  float noise;
};

// beta, alpha = 1 - beta and their cumulative product for every training time-step, in float32 with the
// rounding of diffusers' tables.
struct NoiseSchedule {
  std::vector<float> betas;
  std::vector<float> alphas_cumprod;

  // alphas_cumprod[timestep], or `beyond` for a negative time-step (the clean end).
  float alpha_cumprod_or(int timestep, float beyond) const {
    return timestep >= 0 ? alphas_cumprod[static_cast<size_t>(timestep)] : beyond;
  }

  // At time-step `timestep`, >= 0.
  NoiseMixture MixtureAt(int timestep) const {
    const float alpha_cumprod = alphas_cumprod[static_cast<size_t>(timestep)];
    return {std::sqrt(alpha_cumprod), std::sqrt(1.0f - alpha_cumprod)};
  }
};

// INVALID_ARGUMENT for an unknown beta schedule or a senseless range.
absl::StatusOr<NoiseSchedule> MakeNoiseSchedule(const SamplerConfig& config);

// The training time-steps that `steps` denoise steps visit, in descending order, by config.timestep_spacing
// ("leading" when it is absent). INVALID_ARGUMENT, naming the bound, when there are none or they leave the
// training range.
absl::StatusOr<std::vector<int>> SpacedTimesteps(const SamplerConfig& config, int steps);

// The noise levels of the solvers: sigma = sqrt((1 - alpha_cumprod) / alpha_cumprod), the standard deviation
// of the noise relative to the image, at each of `timesteps` (within the training range, linear in between
// for fractional ones), and 0 after the last. One entry more than `timesteps`.
std::vector<float> NoiseLevels(const NoiseSchedule& schedule, const std::vector<float>& timesteps);

// The largest step count that SpacedTimesteps accepts, e.g. 999 for the published decoders, whose offset of 1
// would carry 1000 steps beyond the training range; 0 when there is none.
int LargestStepCount(const SamplerConfig& config);

}  // namespace kandinsky
