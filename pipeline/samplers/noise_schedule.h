#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace kandinsky {

// The published scheduler_config.json, with its field names and diffusers' defaults. Keys that have no effect
// on a sampler (e.g. set_alpha_to_one for DDPM) are carried and ignored, as diffusers does.
struct SamplerConfig {
  int num_train_timesteps = 1000;
  float beta_start = 0.0001f;
  float beta_end = 0.02f;
  std::string beta_schedule = "linear";     // "linear" or "squaredcos_cap_v2"
  std::string prediction_type = "epsilon";  // "epsilon" or "sample"
  std::string variance_type = "fixed_small";
  std::string timestep_spacing = "leading";  // "leading", "trailing" or "linspace"
  int steps_offset = 0;
  bool clip_sample = true;
  float clip_sample_range = 1.0f;
  bool set_alpha_to_one =
      true;  // DDIM: the step after the last one goes to alpha 1 instead of the first alpha
  bool thresholding = false;
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
};

// INVALID_ARGUMENT for an unknown beta schedule or a senseless range.
absl::StatusOr<NoiseSchedule> MakeNoiseSchedule(const SamplerConfig& config);

// The training time-steps that `steps` denoise steps visit, in descending order, by config.timestep_spacing.
// INVALID_ARGUMENT, naming the bound, when there are none or they leave the training range.
absl::StatusOr<std::vector<int>> SpacedTimesteps(const SamplerConfig& config, int steps);

// The largest step count that SpacedTimesteps accepts, e.g. 999 for the published decoders, whose offset of 1
// would carry 1000 steps beyond the training range; 0 when there is none.
int LargestStepCount(const SamplerConfig& config);

}  // namespace kandinsky
