#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky {

// The fields that GenerateRequest and GenerateImageEmbeddingRequest share: what the prior is given.

// Checks prior_start, with prior_steps already in `request`, and fills it in.
void CheckPriorStart(const v1::PriorStart& start, FieldChecks& checks, GenerationRequest& request,
                     std::vector<RequestInput>& inputs);

// Checks the negative prompts and fills them in.
template <typename Message>
void CheckNegativePrompts(const Message& message, FieldChecks& checks, GenerationRequest& request) {
  if (message.has_negative_prompt()) {
    checks.Text("negative_prompt", message.negative_prompt());
    request.negative_prompt = message.negative_prompt();
  }
  if (message.has_negative_prior_prompt()) {
    checks.Text("negative_prior_prompt", message.negative_prior_prompt());
    request.negative_prior_prompt = message.negative_prior_prompt();
  }
}

// Checks the prior's numbers and start and fills them in.
template <typename Message>
void CheckPrior(const Message& message, FieldChecks& checks, GenerationRequest& request,
                std::vector<RequestInput>& inputs) {
  constexpr int kSmallestPriorSteps = 2;
  constexpr float kLargestGuidance = 100;
  const int most_steps = std::min(checks.limits().max_prior_steps(), checks.capabilities().max_prior_steps);
  request.prior_steps = std::min(request.prior_steps, most_steps);
  const size_t before = checks.count();
  if (message.has_prior_steps()) {
    request.prior_steps =
        checks.Integer("prior_steps", message.prior_steps(), kSmallestPriorSteps, most_steps);
    // A strength is judged by what it does to the steps; of wrong ones it would say nothing.
    if (checks.count() > before) request.prior_steps = most_steps;
  }
  if (message.has_prior_guidance_scale()) {
    request.prior_guidance_scale =
        checks.Number("prior_guidance_scale", message.prior_guidance_scale(), kLargestGuidance);
  }
  if (!message.has_prior_start()) return;
  CheckPriorStart(message.prior_start(), checks, request, inputs);
  if (message.has_negative_prior_prompt()) {
    checks.Violate("prior_start", "must be unset with negative_prior_prompt");
  }
}

}  // namespace kandinsky
