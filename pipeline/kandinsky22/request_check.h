#pragma once

#include <vector>

#include "absl/status/status.h"
#include "pipeline/capabilities.h"
#include "pipeline/generation_request.h"
#include "pipeline/model.h"

namespace kandinsky {

// As Model::Check, for Kandinsky 2.2 models of these capabilities. Numbers that only the samplers know the
// limits of are theirs to check. Pure.
std::vector<Violation> CheckRequest(const Capabilities& capabilities, const GenerationRequest& request);

// Whether the images and tensors of `request`, which breaks no rule, are there and have the sizes that the
// networks take, so that none meets a tensor of another shape. INVALID_ARGUMENT naming field and rule. Pure.
absl::Status CheckInputs(const Capabilities& capabilities, const GenerationRequest& request);

}  // namespace kandinsky
