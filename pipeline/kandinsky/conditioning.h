#pragma once

#include <torch/types.h>

#include <vector>

#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/samplers/sampler.h"

namespace kandinsky {

// What distinguishes the tasks in the denoise loop; undefined tensors where a task has none of it.
struct ConditioningInputs {
  // [rows, embedding_dim]: the conditional row, preceded by the unconditional one when guidance is on.
  torch::Tensor image_embeddings;
  // Latents [1, 4, h, w] of the picture that the loop starts from, or (with a mask) that is repainted.
  torch::Tensor image_latents;
  torch::Tensor keep_mask;  // [1, 1, h, w], 1 where the picture is kept
  torch::Tensor hint;       // [1, 3, H, W] in 0..1
  int first_step = 0;       // of the sampler's time-steps, for a loop that starts from a picture
};

// Everything about one generation that the decoder U-Net sees besides the noisy latents, and everything in
// which tasks differ: the denoise loop itself is the same for all of them.
class Conditioning {
 public:
  // Computes what stays constant over the steps (the context's keys and values, the hint's latents) at once.
  // `sampler` is the generation's own and outlives this.
  Conditioning(const UNet2DConditionModel& unet, const Sampler& sampler, ConditioningInputs inputs);

  int rows() const { return static_cast<int>(inputs_.image_embeddings.size(0)); }
  int first_step() const { return inputs_.first_step; }

  // The latents that the loop starts from, given standard normal `noise` [1, 4, h, w]. Keeps them where later
  // steps need them; to be called again, with the same noise, gives the same.
  torch::Tensor InitialLatents(const torch::Tensor& noise);

  // The U-Net's input rows for `latents` [1, 4, h, w]: [rows(), in_channels, h, w].
  torch::Tensor NetworkInput(const torch::Tensor& latents) const;

  // What becomes of the `latents` that the sampler made in its step number `step`: an inpainting blends the
  // picture into them, with the noise of the next time-step.
  torch::Tensor AfterStep(int step, torch::Tensor latents) const;

  const UNetContext& context() const { return context_; }

  // The time conditioning of the sampler's step number `step` and its index within the returned chunk.
  // Computed for a chunk of steps at a time: one matrix product per layer instead of one per layer and step.
  struct TimeSlice {
    const UNetTime* time;
    int index;
  };
  TimeSlice TimeAt(const UNet2DConditionModel& unet, int step);

 private:
  const Sampler& sampler_;
  ConditioningInputs inputs_;  // without the hint, which only the constructor reads
  const UNetContext context_;
  torch::Tensor
      further_channels_;           // [1, n, h, w], behind the latents in the network's input; undefined: none
  torch::Tensor initial_latents_;  // of an inpainting, whose noise the picture gets at every step
  UNetTime time_chunk_;
  int chunk_begin_ = -1;  // first step of time_chunk_; -1 before the first call
};

}  // namespace kandinsky
