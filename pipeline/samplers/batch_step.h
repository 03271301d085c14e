#pragma once

#include <torch/types.h>

#include <functional>

#include "absl/types/span.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {

// What a network says about the rows of a batch.
struct NetworkOutput {
  torch::Tensor prediction;  // [rows, channels, ...] as the sample
  torch::Tensor variance;    // the same shape; undefined where the network predicts none
};

// Those rows of a batch that belong to one sampler, and its step.
struct SampledRows {
  Sampler* sampler;
  int index;  // the step goes from sampler->timesteps()[index], 0 <= index < step_count()
  // Returns standard normal noise [count, channels, ...] of the image's own generator, on any device. Called
  // once per step exactly when diffusers draws, otherwise not at all, so that a seed gives the same image.
  std::function<torch::Tensor()> noise;
  int64_t count = 1;
};

// One step of every sampler of a batch, each at its own index of its own schedule: the next samples, of the
// shape and dtype of `sample` [rows, channels, ...], whose rows are those of `images` one after the other.
// `sample` is not changed. Rows whose samplers compute the same way at this step share each tensor operation;
// a row's bits depend on the row alone. On the CPU large
// samples are taken a few rows at a time, for the cache.
//
// Works on the device of `sample`, which `output` shares, in float32 or the sample's dtype where that is
// wider; noise is brought there. The samplers keep what a later step looks back at, to be committed one by
// one (Sampler::Commit). Throws what libtorch throws; then, and until Commit(), a step can be repeated, also
// with other rows beside it. For one thread per sampler.
torch::Tensor StepBatch(absl::Span<const SampledRows> images, const NetworkOutput& output,
                        const torch::Tensor& sample);

}  // namespace kandinsky
