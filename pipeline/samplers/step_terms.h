#pragma once

#include <torch/types.h>

#include <optional>
#include <vector>

namespace kandinsky {

// What a sampler says about one step, so that a batch can compute it (batch_step.h). Only for the samplers.

struct StepInputs;

struct StepResult {
  torch::Tensor next = {};
  // The predicted clean samples, where the sampler's next step looks back at them; undefined elsewhere.
  torch::Tensor clean = {};
};

// The arithmetic of a step over rows. Elementwise, so that a row's bits depend on the row alone; changes none
// of its inputs.
using StepFunction = StepResult (*)(const StepInputs&);

// Which operations a step consists of. Rows with equal rules are computed together.
struct StepRule {
  StepFunction function = nullptr;
  bool predicts_noise = true;  // prediction_type "epsilon"; otherwise the network predicts the clean sample
  std::optional<float> clip = {};  // the predicted clean sample is clipped to -clip..clip
  bool draws_noise = false;
  bool reads_variance = false;
  bool looks_back = false;

  bool operator==(const StepRule&) const = default;
};

struct StepTerms {
  StepRule rule;
  std::vector<float> coefficients;  // as many, and in the order, that rule.function expects
  torch::Tensor history = {};       // the clean samples of the step before, where the rule looks back
};

// All tensors have the rows as first dimension (the coefficients are [rows, 1, ...]) and are on one device
// and of one dtype, at least float32, so that a step is rounded to a narrower sample only once. Undefined
// where the rule has no use for them.
struct StepInputs {
  const StepRule& rule;
  std::vector<torch::Tensor> coefficients;
  torch::Tensor prediction = {};
  torch::Tensor variance = {};
  torch::Tensor sample = {};
  torch::Tensor noise = {};
  torch::Tensor history = {};
};

// The places of the coefficients that PredictCleanSample reads.
enum CleanCoefficient : size_t {
  kNoiseShare,  // a sample is clean share * clean sample + noise share * noise
  kCleanShare,
  kCleanCoefficients,  // how many these are; a sampler's own follow
};

// The clean sample that the prediction implies, clipped as the rule says.
torch::Tensor PredictCleanSample(const StepInputs& inputs);

}  // namespace kandinsky
