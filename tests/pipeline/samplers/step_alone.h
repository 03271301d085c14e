#pragma once

#include <functional>
#include <utility>

#include "pipeline/samplers/batch_step.h"

namespace kandinsky {

// A batch of one image, whose rows are all those of `sample`. `output` has the predicted variance, if there
// is one, in the channels behind the prediction's.
inline torch::Tensor StepAlone(Sampler& sampler, int index, const torch::Tensor& output,
                               const torch::Tensor& sample, std::function<torch::Tensor()> noise) {
  NetworkOutput split{.prediction = output, .variance = {}};
  if (sampler.uses_predicted_variance()) {
    const int64_t channels = sample.size(1);
    split = {.prediction = output.narrow(1, 0, channels), .variance = output.narrow(1, channels, channels)};
  }
  const SampledRows rows{&sampler, index, std::move(noise), sample.size(0)};
  return StepBatch({&rows, 1}, split, sample);
}

}  // namespace kandinsky
