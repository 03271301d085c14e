#pragma once

#include <torch/types.h>

#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/diffusion/diffusion_sample.h"

namespace kandinsky {

// What has to be there when a sample enters a stage. They fill members that nobody reads before, and draw
// from the sample's generators under the caller's RandomStateGuard: to run one again gives the same.

// After the last step of the encode stage: gives the prior its runs and its initial latents, or, where the
// prior has nothing to do, prepares what comes instead of it.
void PrepareAfterEncode(const DiffusionModel& model, DiffusionSample& sample);

// After the last step of the prior, which made `rows` [rows of the recipe, embedding_dim], normalized: the
// image embeddings, as the result or for the denoise loop, and the latents that it starts from.
void PrepareAfterPrior(const DiffusionModel& model, DiffusionSample& sample, const torch::Tensor& rows);

}  // namespace kandinsky
