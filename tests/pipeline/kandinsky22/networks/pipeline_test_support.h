#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/loaded_pipeline.h"

namespace kandinsky {

// Folder of the recorded diffusers data: KANDINSKY_GOLDEN_DIR, or tests/golden/diffusers.
std::string GoldenDirectory();

// Loads the model in `folder`, with one thread; stops the test program when it cannot be loaded.
std::unique_ptr<LoadedPipeline> LoadPipeline(const std::string& folder);

// The recorded tiny text-to-image model; stops the test program when it cannot be loaded.
std::unique_ptr<LoadedPipeline> LoadGoldenPipeline();

// A recorded tiny model for the task's network: the text-to-image decoder, or the inpainting or the depth
// network.
std::unique_ptr<LoadedPipeline> LoadGoldenPipelineFor(const Task& task);

// A smooth RGB image (or one with `channels`), which `seed` varies.
InputImage TestImage(int width, int height, int channels, uint64_t seed);
// A tensor of the shape with values from 0 to 1, which `seed` varies.
SharedFloatTensor TestTensor(std::vector<int64_t> shape, uint64_t seed);

// A request that is cheap on the recorded tiny model; `seed` also varies prompt and steps a little.
GenerationRequest TinyRequest(uint64_t seed);

// The same for every task of the network ("decoder", "inpaint" or "controlnet_depth"), in several forms each;
// the sizes of embeddings and images are those of `capabilities`.
std::vector<GenerationRequest> TinyTaskRequests(const Capabilities& capabilities);

// Steps `sample` alone until it is done.
GenerationResult RunAlone(LoadedPipeline& pipeline, const GenerationRequest& request);

// Runs all requests; request i is admitted before round `joins[i]`. Each round picks the key of the first
// unfinished sample and steps everybody who shares it, at most `max_rows` of them.
std::vector<GenerationResult> RunBatched(LoadedPipeline& pipeline,
                                         const std::vector<GenerationRequest>& requests,
                                         const std::vector<int>& joins, size_t max_rows);

// In dB, for `expected` [height, width, 3].
double PeakSignalToNoise(const Image& image, const torch::Tensor& expected);

// The result's main tensor, whatever its task: latents, or else the embedding.
const FloatTensor& MainTensor(const GenerationResult& result);

// Whether two results hold the same bits: image, latents, pixels, embeddings, hidden states and token ids.
bool SameBits(const GenerationResult& a, const GenerationResult& b);

// ||a - b|| / ||b|| over the main tensors of two results.
double RelativeDifference(const GenerationResult& a, const GenerationResult& b);

}  // namespace kandinsky
