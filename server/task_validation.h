#pragma once

#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky {

// Checks a request's task and the embeddings that it brings, and fills them into `image`, which has its size
// and steps already. Pictures and tensors become `inputs`; their places in `image` stay empty until those are
// prepared. `size_is_right`: else that size stands for one that was refused, and nothing is measured by it.
void CheckTask(const v1::GenerateRequest& request, FieldChecks& checks, GenerationRequest& image,
               std::vector<RequestInput>& inputs, bool size_is_right);

}  // namespace kandinsky
