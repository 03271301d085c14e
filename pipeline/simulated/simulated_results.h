#pragma once

#include "pipeline/pipeline.h"

namespace kandinsky {

// Capabilities::text_windows of simulated models, that of the CLIP text towers.
inline constexpr int kSimulatedTextWindow = 77;

// What the task of `request` yields besides the image, in the shapes of the published models: latents,
// pixels, embeddings of `embedding_dim` values, token ids. The values follow from the seed (of tasks that
// have one), the texts and the image alone, and lie in -1..1.
GenerationResult SimulatedResult(const GenerationRequest& request, int embedding_dim);

// How many tokens the texts of `request` have: a word is about a token.
std::vector<PromptTokens> SimulatedPromptTokens(const GenerationRequest& request);

}  // namespace kandinsky
