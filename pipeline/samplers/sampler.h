#pragma once

#include <torch/types.h>

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// Returns fresh standard normal noise of the sample's shape. A sampler calls it exactly when, and only when,
// diffusers draws from the generator, so that a seed gives the same picture.
using NoiseSource = absl::FunctionRef<torch::Tensor()>;

// Turns network outputs into the next latents ("scheduler" in diffusers). One per generation, so that
// samplers with history keep it; used by one thread.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // The time-steps to visit, in order; fractional for some samplers. step_count() entries.
  const std::vector<float>& timesteps() const { return timesteps_; }
  int step_count() const { return static_cast<int>(timesteps_.size()); }

  // Factor of the initial standard normal noise.
  virtual float init_noise_sigma() const { return 1.0f; }

  // One step from timesteps()[index], 0 <= index < step_count(): `model_output` is the (guided) prediction
  // for `sample`, same shape, float32. Returns the next sample; `sample` itself is not changed.
  virtual torch::Tensor Step(int index, const torch::Tensor& model_output, const torch::Tensor& sample,
                             NoiseSource noise) = 0;

 protected:
  explicit Sampler(const std::vector<int>& timesteps) : timesteps_(timesteps.begin(), timesteps.end()) {}

 private:
  const std::vector<float> timesteps_;
};

// Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models" (2020), with diffusers' DDPMScheduler
// semantics: fixed-small variance, optional clipping of the predicted clean sample. Noise is drawn at every
// step whose time-step is not 0. INVALID_ARGUMENT for unsupported configurations and step counts, naming the
// key.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmSampler(const SamplerConfig& config, int steps);

// Song, Meng, Ermon, "Denoising Diffusion Implicit Models" (2021), with diffusers' DDIMScheduler semantics.
// `eta` in 0..1; noise is drawn only when it is above 0.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDdimSampler(const SamplerConfig& config, int steps, float eta);

// The sampler of the diffusion prior (Ramesh et al., "Hierarchical Text-Conditional Image Generation with
// CLIP Latents", 2022), with diffusers' UnCLIPScheduler semantics: predicts the clean sample, fixed-small log
// variance, evenly spaced time-steps from the last to 0. `steps` >= 2.
absl::StatusOr<std::unique_ptr<Sampler>> MakeUnclipSampler(const SamplerConfig& config, int steps);

// Shared by the samplers. The clean sample that `model_output` implies at `alpha_cumprod`, by
// config.prediction_type, clipped by config.clip_sample.
torch::Tensor PredictCleanSample(const SamplerConfig& config, float alpha_cumprod,
                                 const torch::Tensor& model_output, const torch::Tensor& sample);

// Refuses configuration values that change the result and that the samplers do not implement.
absl::Status CheckSamplerConfig(const SamplerConfig& config);

}  // namespace kandinsky
