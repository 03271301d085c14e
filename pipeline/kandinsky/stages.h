#pragma once

#include "absl/types/span.h"
#include "pipeline/kandinsky/kandinsky_generation.h"
#include "pipeline/kandinsky/kandinsky_model.h"

namespace kandinsky {

// The stages. Each function runs one batched forward pass for generations that share a batch key and moves
// every one of them on by one step. They throw what libtorch throws, and then no generation has changed:
// whatever can fail goes into local values first, or into members that a repeated step sets to the same
// again, and the commit at the end only moves.

// One step of the encode stage, through the network that the batch key names: the text tower and the prior's
// prefix for the texts that are not in `cache`, the vision tower, the image autoencoder's encoder, or none.
void RunEncodeStage(const KandinskyModel& model, TextEncodingCache& cache,
                    absl::Span<KandinskyGeneration* const> batch);

// One step of the diffusion prior; the last one yields the image embeddings and the initial latents.
void RunPriorStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch);

// One step of the decoder U-Net and of each generation's own sampler.
void RunDenoiseStage(absl::Span<KandinskyGeneration* const> batch);

// Latents to pictures.
void RunDecodeStage(const KandinskyModel& model, absl::Span<KandinskyGeneration* const> batch);

}  // namespace kandinsky
