#pragma once

#include <torch/types.h>

#include "pipeline/kandinsky/kandinsky_generation.h"
#include "pipeline/kandinsky/kandinsky_model.h"

namespace kandinsky {

// What has to be there when a generation enters a stage. They fill members that nobody reads before, and draw
// from the generation's generators under the caller's DrawsToKeep: to run one again gives the same.

// After the last step of the encode stage: gives the prior its runs and its initial latents, or, where the
// prior has nothing to do, prepares what comes instead of it.
void PrepareAfterEncode(const KandinskyModel& model, KandinskyGeneration& generation);

// After the last step of the prior, which made `rows` [rows of the plan, embedding_dim], normalised: the
// image embeddings, as the result or for the denoise loop, and the latents that it starts from.
void PrepareAfterPrior(const KandinskyModel& model, KandinskyGeneration& generation,
                       const torch::Tensor& rows);

}  // namespace kandinsky
