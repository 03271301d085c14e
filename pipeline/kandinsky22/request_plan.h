#pragma once

#include <cstdint>
#include <string>

#include "pipeline/generation_request.h"
#include "pipeline/plan.h"

namespace kandinsky {

// Networks of the encode stage, as BatchKey::network names them.
inline constexpr char kTextEncoder[] = "text_encoder";    // texts, and the prior's prefix
inline constexpr char kImageEncoder[] = "image_encoder";  // images to embeddings
inline constexpr char kMovqEncoder[] = "movq_encoder";    // an image to latents; has a spatial size
inline constexpr char kNoNetwork[] = "none";              // for requests that need none of them
// Networks of the stages that have only one; the denoise stage has those of Capabilities::networks.
inline constexpr char kPrior[] = "prior";
inline constexpr char kMovqDecoder[] = "movq";

// Memory that steps take beside the weights, in bytes: an estimate.
struct StepMemory {
  int64_t text = 0;     // per text: its prefix for the prior, and a copy of it in a batch
  int64_t image = 0;    // per image to embed
  int64_t prior = 0;    // per network row
  int64_t denoise = 0;  // per latent cell and network row
  int64_t decode = 0;   // per latent cell; the image encoder takes about as much
  int64_t hint = 0;     // per latent cell, once, in the step before the denoise loop
};

// What a plan depends on besides the request.
struct PlanContext {
  int latent_scale = 8;  // as Capabilities::latent_scale
  StepMemory memory = {};
  // What the request's adapter is called in the keys of each network; empty where it has nothing for it.
  std::string prior_adapter = {};
  std::string unet_adapter = {};
};

// Steps that `strength` leaves of `steps`: min(int(steps * strength), steps) in double precision, as
// get_timesteps of diffusers' pipelines has it; int(100 * 0.29) is 28, int(49 * (1 / 49)) is 0.
int StepsAtStrength(int steps, double strength);

// Whether the prior has anything to compute: a text whose image embedding is read.
bool RunsPrior(const GenerationRequest& request);

// The denoise steps that run: those that a strength leaves. 0 for tasks that make no image.
int DenoiseSteps(const GenerationRequest& request);

// The work of a Kandinsky 2.2 request: text encoder, image encoder and MOVQ's encoder as far as its inputs
// need them (one step each, or one of "none"), the prior, the U-Net, MOVQ's decoder. Guided and unguided
// samples may share steps of the prior, whose keys therefore say nothing of guidance. Pure.
Plan PlanRequest(const GenerationRequest& request, const PlanContext& context);

}  // namespace kandinsky
