#pragma once

#include "absl/types/span.h"
#include "pipeline/diffusion/diffusion_model.h"
#include "pipeline/diffusion/diffusion_sample.h"

namespace kandinsky {

// The stages. Each function runs one batched forward pass for samples that share a batch key and moves
// every one of them on by one step. They throw what libtorch throws, and then no sample has changed:
// whatever can fail goes into local values first, or into members that a repeated step sets to the same
// again, and the commit at the end only moves.

// One step of the encode stage, through the network that the batch key names: the text tower and the prior's
// prefix for the texts that are not in `cache`, the vision tower, the image autoencoder's encoder, or none.
void RunEncodeStage(const DiffusionModel& model, TextEncodingCache& cache,
                    absl::Span<DiffusionSample* const> batch);

// One step of the diffusion prior; the last one yields the image embeddings and the initial latents.
void RunPriorStage(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch);

// One step of the denoiser and of each sample's own sampler.
void RunDenoiseStage(absl::Span<DiffusionSample* const> batch);

// Latents to images.
void RunDecodeStage(const DiffusionModel& model, absl::Span<DiffusionSample* const> batch);

}  // namespace kandinsky
