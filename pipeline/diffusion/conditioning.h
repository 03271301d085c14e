#pragma once

#include <torch/types.h>

#include <memory>

#include "absl/types/span.h"
#include "pipeline/diffusion/denoiser.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {

// What distinguishes the tasks in the denoise loop; undefined tensors where a task has none of it.
struct ConditioningInputs {
  // Latents [1, channels, h, w] of the image that the loop starts from, or (with a mask) that is repainted.
  torch::Tensor image_latents;
  torch::Tensor keep_mask;  // [1, 1, h, w], 1 where the image is kept
  torch::Tensor hint;       // [1, 3, H, W] in 0..1
  int first_step = 0;       // of the sampler's time-steps, for a loop that starts from an image
};

// Everything about one sample that the denoiser sees besides the noisy latents, and everything in which tasks
// differ: the denoise loop itself is the same for all of them.
class Conditioning {
 public:
  // Computes what stays constant over the steps (what the denoiser makes of `condition`, the hint's latents)
  // at once. `sampler` is the sample's own and outlives this.
  Conditioning(const Denoiser& denoiser, const Sampler& sampler, DenoiserCondition condition,
               ConditioningInputs inputs);

  int rows() const { return state_->rows(); }
  int first_step() const { return inputs_.first_step; }

  // The latents that the loop starts from, given standard normal `noise` [1, channels, h, w]. Keeps them
  // where later steps need them; to be called again, with the same noise, gives the same.
  torch::Tensor InitialLatents(const torch::Tensor& noise);

  // The denoiser's input rows for `latents` [1, channels, h, w]: [rows(), input channels, h, w].
  torch::Tensor NetworkInput(const torch::Tensor& latents) const;

  // The denoiser's rows at the sampler's step number `step`.
  DenoiserRows RowsAt(int step) { return {state_.get(), step}; }

  // The step of one row of a batch: the sampler's step number `step`.
  struct RowStep {
    const Conditioning* conditioning;
    int step;
  };
  // What becomes of the `latents` [rows.size(), channels, h, w] that the samplers made: an inpainting blends
  // the image into its own, with the noise of the next time-step. A row's bits depend on the row alone.
  static torch::Tensor AfterStep(absl::Span<const RowStep> rows, torch::Tensor latents);

 private:
  const Sampler& sampler_;
  ConditioningInputs inputs_;  // without the hint, which only the constructor reads
  const std::unique_ptr<DenoiserState> state_;
  torch::Tensor
      further_channels_;           // [1, n, h, w], behind the latents in the network's input; undefined: none
  torch::Tensor initial_latents_;  // of an inpainting, whose noise the image gets at every step
};

}  // namespace kandinsky
