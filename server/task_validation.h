#pragma once

#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// Reads a request's task and the embeddings that it brings into `image`, which has its size already. Images
// and tensors become `inputs`; their places in `image` stay empty until those are prepared. Nothing is
// measured by a size that the model does not take.
void ReadTask(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
              std::vector<RequestInput>& inputs);

}  // namespace kandinsky::server
