#pragma once

#include "absl/status/status.h"
#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// Whether a model of these capabilities can serve `request`: its task, and the sizes of everything in it, so
// that no network meets a tensor of another shape. INVALID_ARGUMENT naming field and rule. Numbers that only
// the samplers know the limits of are theirs to check.
absl::Status CheckRequest(const Capabilities& capabilities, const GenerationRequest& request);

}  // namespace kandinsky
