#pragma once

#include <torch/types.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

struct StepTerms;

// How one image goes from noise to a clean sample ("scheduler" in diffusers): its time-steps, the
// coefficients of each step, and what later steps look back at. One per sample; used by one thread.
//
// A sample steps through the indices first, first + 1, ..., step_count() - 1: StepBatch (batch_step.h)
// computes a step of a whole batch, and Commit() ends it for this image. `first` is 0, or later where the
// start is an image with noise instead of noise alone; what a step computes depends on the full number of
// steps, and no step before `first` counts as history.
//
// A step can be repeated: until Commit() it has changed nothing that a later step sees. A caller whose batch
// failed steps again with the same index, as if the failed call had never been.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // The time-steps to visit, in order; fractional for some samplers, and to be given to the network
  // unrounded. step_count() entries.
  const std::vector<float>& timesteps() const { return timesteps_; }
  int step_count() const { return static_cast<int>(timesteps_.size()); }

  // Factor of the initial standard normal noise, where the start is noise alone.
  virtual float init_noise_sigma() const { return 1.0f; }

  // Whether the network has to predict a variance.
  virtual bool uses_predicted_variance() const { return false; }

  // What samples at timesteps()[index] consist of, 0 <= index < step_count().
  virtual NoiseMixture MixtureAt(int index) const = 0;

  // `clean` as noisy as samples are at timesteps()[index]. `noise` is standard normal; both of one shape,
  // device and float dtype. Also right for several rows.
  torch::Tensor AddNoise(const torch::Tensor& clean, const torch::Tensor& noise, int index) const;

  // The step from timesteps()[index], for StepBatch.
  virtual StepTerms TermsAt(int index) const = 0;

  // For StepBatch: the step `index` predicted these clean samples. They are history once it is committed.
  void Propose(int index, torch::Tensor clean) { proposed_ = {index, std::move(clean)}; }

  // The last step counts: it becomes history for those that follow. Cannot fail.
  void Commit() { latest_ = proposed_; }

 protected:
  explicit Sampler(std::vector<float> timesteps) : timesteps_(std::move(timesteps)) {}
  explicit Sampler(const std::vector<int>& timesteps) : timesteps_(timesteps.begin(), timesteps.end()) {}

  // The clean samples that the committed step `index` predicted; undefined when another was the last one.
  torch::Tensor CleanOf(int index) const { return latest_.index == index ? latest_.clean : torch::Tensor(); }

 private:
  struct Prediction {
    int index = -1;
    torch::Tensor clean;
  };

  const std::vector<float> timesteps_;
  Prediction proposed_;
  Prediction latest_;
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
// call: samples are the image plus noise of the level's deviation, which starts at about 25, and the
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

// The sampler of the diffusion prior (Ramesh et al., "Hierarchical Text-Conditional Image Sample with
// CLIP Latents", 2022), with diffusers' UnCLIPScheduler semantics: predicts the clean sample, fixed-small log
// variance, evenly spaced time-steps from the last to 0. `steps` >= 2.
absl::StatusOr<std::unique_ptr<Sampler>> MakeUnclipSampler(const SamplerConfig& config, int steps);

// Shared by the samplers.

// The bound of predicted clean samples, absent where they are not clipped.
std::optional<float> ClipOf(const SamplerConfig& config);

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
