#pragma once

#include <torch/types.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// Returns fresh standard normal noise of the sample's shape. A sampler calls it exactly when, and only when,
// diffusers draws from the generator, so that a seed gives the same picture.
using NoiseSource = absl::FunctionRef<torch::Tensor()>;

// Turns network outputs into the next latents ("scheduler" in diffusers). One per generation, because some
// samplers look back at earlier steps; used by one thread.
//
// A generation steps through the indices first, first + 1, ..., step_count() - 1 and calls Commit() after
// each. `first` is 0, or later where the start is a picture with noise instead of noise alone; what a step
// computes depends on the full number of steps, and no step before `first` counts as history.
//
// A step can be repeated: until Commit(), Step() has changed nothing that a later Step() sees. A caller whose
// batch failed calls it again with the same index, as if the failed call had never been.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // The time-steps to visit, in order; fractional for some samplers, and to be given to the network
  // unrounded. step_count() entries.
  const std::vector<float>& timesteps() const { return timesteps_; }
  int step_count() const { return static_cast<int>(timesteps_.size()); }

  // Factor of the initial standard normal noise, where the start is noise alone.
  virtual float init_noise_sigma() const { return 1.0f; }

  // Whether the network's variance channels are used. Then Step() takes twice the sample's channels: first
  // the (guided) prediction, then the variance that the network predicts for the condition.
  virtual bool uses_predicted_variance() const { return false; }

  // `clean` as noisy as samples are at timesteps()[index], 0 <= index < step_count(). `noise` is standard
  // normal; all float32, one shape. Also right for several rows.
  virtual torch::Tensor AddNoise(const torch::Tensor& clean, const torch::Tensor& noise, int index) const = 0;

  // One step from timesteps()[index], 0 <= index < step_count(): `model_output` is the (guided) prediction
  // for `sample`, same shape but for uses_predicted_variance() (channels are dimension 1), float32. Returns
  // the next sample; `sample` itself is not changed.
  virtual torch::Tensor Step(int index, const torch::Tensor& model_output, const torch::Tensor& sample,
                             NoiseSource noise) = 0;

  // The last Step() counts: it becomes history for those that follow. Cannot fail.
  virtual void Commit() {}

 protected:
  explicit Sampler(std::vector<float> timesteps) : timesteps_(std::move(timesteps)) {}
  explicit Sampler(const std::vector<int>& timesteps) : timesteps_(timesteps.begin(), timesteps.end()) {}

 private:
  const std::vector<float> timesteps_;
};

// Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models" (2020), with diffusers' DDPMScheduler
// semantics: fixed-small variance, optional clipping of the predicted clean sample. Noise is drawn at every
// step whose time-step is not 0. INVALID_ARGUMENT for unsupported configurations and step counts, naming the
// key.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmSampler(const SamplerConfig& config, int steps);

// The same with diffusers' variance_type "learned_range": the logarithm of the variance lies between those of
// the posterior's and of beta, at the place that the network predicts (Nichol, Dhariwal, "Improved Denoising
// Diffusion Probabilistic Models", 2021, eq. 15). The configuration's own variance_type
// does not count, but "learned", which says that the network predicts something else, is refused.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDdpmLearnedRangeSampler(const SamplerConfig& config, int steps);

// Song, Meng, Ermon, "Denoising Diffusion Implicit Models" (2021), with diffusers' DDIMScheduler semantics.
// `eta` in 0..1; noise is drawn only when it is above 0.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDdimSampler(const SamplerConfig& config, int steps, float eta);

// Euler's method on the probability flow ODE (Karras, Aittala, Aila, Laine, "Elucidating the Design Space of
// Diffusion-Based Generative Models", 2022, algorithm 2 without churn), with diffusers'
// EulerDiscreteScheduler semantics and without its scale_model_input, which the Kandinsky pipelines do not
// call: samples are the picture plus noise of the level's deviation, which starts at about 25, and the
// network sees them so. Draws no noise.
absl::StatusOr<std::unique_ptr<Sampler>> MakeEulerSampler(const SamplerConfig& config, int steps);

// The same with fresh noise after each step, down to the next level in two parts; diffusers'
// EulerAncestralDiscreteScheduler. Draws noise at every step, also at the last, where its factor is 0.
// prediction_type "epsilon" only, as there.
absl::StatusOr<std::unique_ptr<Sampler>> MakeEulerAncestralSampler(const SamplerConfig& config, int steps);

// DPM-Solver++(2M): Lu, Zhou, Bao, Chen, Li, Zhu, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
// Probabilistic Models" (2022), algorithm 2, with the semantics of diffusers' DPMSolverMultistepScheduler:
// the first and the last step are of first order, all others look back at the step before. Draws no noise,
// clips nothing. `steps` below num_train_timesteps.
absl::StatusOr<std::unique_ptr<Sampler>> MakeDpmSolverMultistepSampler(const SamplerConfig& config,
                                                                       int steps);

// The sampler of the diffusion prior (Ramesh et al., "Hierarchical Text-Conditional Image Generation with
// CLIP Latents", 2022), with diffusers' UnCLIPScheduler semantics: predicts the clean sample, fixed-small log
// variance, evenly spaced time-steps from the last to 0. `steps` >= 2.
absl::StatusOr<std::unique_ptr<Sampler>> MakeUnclipSampler(const SamplerConfig& config, int steps);

// Shared by the samplers. The clean sample that `model_output` implies at `alpha_cumprod`, by
// config.prediction_type, clipped by config.clip_sample.
torch::Tensor PredictCleanSample(const SamplerConfig& config, float alpha_cumprod,
                                 const torch::Tensor& model_output, const torch::Tensor& sample);

// sqrt(alpha_cumprod) * clean + sqrt(1 - alpha_cumprod) * noise.
torch::Tensor DiffuseCleanSample(float alpha_cumprod, const torch::Tensor& clean, const torch::Tensor& noise);

// Refuses configuration values that change the result of every sampler and that they do not implement: a
// prediction_type other than epsilon or sample, thresholding unless `can_threshold` is false (the class has
// no such key).
absl::Status CheckSamplerConfig(const SamplerConfig& config, bool can_threshold = true);

// Refuses noise levels that follow another rule than the training time-steps or do not end at 0.
absl::Status CheckNoiseLevelRules(const SamplerConfig& config);

// Refuses variance_type "learned" and "learned_range": the network's outputs would not be what the sampler
// takes.
absl::Status CheckFixedVariance(const SamplerConfig& config);

}  // namespace kandinsky
