#pragma once

#include "pipeline/generation_request.h"

namespace kandinsky {

// Steps that `strength` leaves of `steps`: min(int(steps * strength), steps) in double precision, as
// get_timesteps of diffusers' pipelines has it; int(100 * 0.29) is 28, int(49 * (1 / 49)) is 0.
int StepsAtStrength(int steps, double strength);

// Whether the unconditional half of the decoder's guidance reads an embedding that the prior makes.
bool ReadsNegativeOfPrior(const GenerationRequest& request);

// Whether a prior has anything to compute: a text whose image embedding is read.
bool RunsPrior(const GenerationRequest& request);

// The denoise steps that run: those that a strength leaves. 0 for tasks that make no image.
int DenoiseSteps(const GenerationRequest& request);

}  // namespace kandinsky
