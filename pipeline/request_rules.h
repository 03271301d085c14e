#pragma once

#include <vector>

#include "absl/status/status.h"
#include "pipeline/capabilities.h"
#include "pipeline/generation_request.h"
#include "pipeline/model.h"

namespace kandinsky {

// Bounds of requests, and of what a model says they get without a value. UnCLIP's schedule divides by the
// number of steps less one; guidance that is far beyond its bound would overflow in the networks.
inline constexpr int kMinPriorSteps = 2;
inline constexpr float kMaxGuidance = 100;

// The rules of requests, for every family: what differs between models stands in their capabilities. The
// server adds only those of the wire.

// As Model::Check, for a model of these capabilities. Pure.
std::vector<Violation> CheckRequest(const Capabilities& capabilities, const GenerationRequest& request,
                                    const RequestLimits& limits);

// Whether the images and tensors of `request`, which breaks no rule, are there and have the sizes that the
// networks take, so that none meets a tensor of another shape. INVALID_ARGUMENT naming field and rule. Pure.
absl::Status CheckInputs(const Capabilities& capabilities, const GenerationRequest& request);

}  // namespace kandinsky
