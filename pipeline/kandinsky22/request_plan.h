#pragma once

#include <cstdint>

#include "pipeline/family.h"
#include "pipeline/generation_request.h"
#include "pipeline/network_names.h"
#include "pipeline/plan.h"

namespace kandinsky {

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
  AdapterNames adapters = {};  // of the request's set
};

// The work of a Kandinsky 2.2 request: text encoder, image encoder and MOVQ's encoder as far as its inputs
// need them (one step each, or one of "none"), the prior, the U-Net, MOVQ's decoder. Guided and unguided
// samples may share steps of the prior, whose keys therefore say nothing of guidance. Pure.
Plan PlanRequest(const GenerationRequest& request, const PlanContext& context);

}  // namespace kandinsky
