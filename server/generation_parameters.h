#pragma once

#include <cstdint>
#include <string>

#include "pipeline/generation_request.h"

namespace kandinsky::server {

// How an image was made, as JSON text for its file: prompts or the parts of a mixture, task and its numbers,
// seed, size, steps, guidance, sampler, model. Numbers are written in full, the seed as a string (readers of
// JSON that keep numbers as doubles would change it above 2^53), texts as UTF-8. Images, masks and
// embeddings are not in it.
std::string GenerationParameters(const GenerationRequest& request, uint64_t seed, const std::string& model);

}  // namespace kandinsky::server
