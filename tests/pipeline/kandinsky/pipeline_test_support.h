#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pipeline/pipeline.h"

namespace kandinsky {

// Folder of the recorded diffusers data: KANDINSKY_GOLDEN_DIR, or tests/golden/diffusers.
std::string GoldenDirectory();

// The recorded tiny model; stops the test program when it cannot be loaded.
std::unique_ptr<Pipeline> LoadGoldenPipeline();

// A request that is cheap on the recorded tiny model; `seed` also varies prompt and steps a little.
GenerationRequest TinyRequest(uint64_t seed);

// Steps `generation` alone until it is done.
GenerationResult RunAlone(Pipeline& pipeline, const GenerationRequest& request);

// Runs all requests; request i is admitted before round `joins[i]`. Each round picks the key of the first
// unfinished generation and steps everybody who shares it, at most `max_rows` of them.
std::vector<GenerationResult> RunBatched(Pipeline& pipeline, const std::vector<GenerationRequest>& requests,
                                         const std::vector<int>& joins, size_t max_rows);

// ||a - b|| / ||b|| over the latents of two results.
double RelativeDifference(const GenerationResult& a, const GenerationResult& b);

}  // namespace kandinsky
