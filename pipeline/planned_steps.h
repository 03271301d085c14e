#pragma once

#include <array>
#include <vector>

#include "pipeline/generation_request.h"

namespace kandinsky {

// Networks of the encode stage, in the order in which a generation passes them, one step each.
enum class EncodeNetwork {
  kText,         // "text_encoder": texts, and the prior's prefix
  kImage,        // "image_encoder": pictures to embeddings
  kLatents,      // "movq_encoder": a picture to latents; its batch key has a spatial size
  kPreparation,  // "none": for generations that need none of them
};
const char* EncodeNetworkName(EncodeNetwork network);

// Never empty.
std::vector<EncodeNetwork> EncodeNetworks(const GenerationRequest& request);

// Whether the prior has anything to compute: a text whose image embedding is read.
bool RunsPrior(const GenerationRequest& request);

// Steps that `strength` leaves of `steps`: min(int(steps * strength), steps) in double precision, as
// get_timesteps of diffusers' pipelines has it; int(100 * 0.29) is 28, int(49 * (1 / 49)) is 0.
int StepsAtStrength(int steps, double strength);

// Steps of the stages that `request` goes through, by Stage (encode..decode); 0 for a stage that it skips.
// What every pipeline does, and what the scheduler and its estimates count on.
std::array<int, 4> PlannedSteps(const GenerationRequest& request);

}  // namespace kandinsky
