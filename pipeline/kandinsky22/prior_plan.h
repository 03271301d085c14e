#pragma once

#include "pipeline/generation_request.h"
#include "pipeline/recipe.h"

namespace kandinsky {

// Pure. The runs are those of diffusers 0.42: KandinskyV22PriorPipeline, its interpolate() for a mix,
// KandinskyV22PriorEmb2EmbPipeline for prior_start; with a negative_prior_prompt those that the original
// package makes in generate_text2img.
SampleRecipe PlanPrior(const GenerationRequest& request);

}  // namespace kandinsky
