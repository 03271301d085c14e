#pragma once

#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// What the scheduler file of the published Kandinsky 2.2 decoders says.
inline SamplerConfig PublishedDecoderConfig() {
  SamplerConfig config;
  config.beta_start = 0.00085f;
  config.beta_end = 0.012f;
  config.steps_offset = 1;
  config.clip_sample = false;
  config.set_alpha_to_one = false;
  return config;
}

// The same for the published prior.
inline SamplerConfig PublishedPriorConfig() {
  SamplerConfig config;
  config.beta_schedule = "squaredcos_cap_v2";
  config.prediction_type = "sample";
  config.variance_type = "fixed_small_log";
  config.clip_sample_range = 10.0f;
  return config;
}

}  // namespace kandinsky
