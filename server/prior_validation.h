#pragma once

#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// The fields that GenerateRequest and GenerateImageEmbeddingRequest share: what the image embedding is made
// of.

// Reads texts, images and embeddings to mix.
void ReadMix(const v1::Mix& mix, FieldChecks& checks, GenerationRequest& request,
             std::vector<RequestInput>& inputs);

// Reads the image or embedding that the prior starts from.
void ReadPriorStart(const v1::PriorStart& start, FieldChecks& checks, GenerationRequest& request,
                    std::vector<RequestInput>& inputs);

// Reads the prompts or the mixture, the prior's numbers and its start. A prompt that something else replaces
// (`replaced`, or the mixture) is left to the model, which wants it to be empty.
template <typename Message>
void ReadPrior(const Message& message, bool replaced, FieldChecks& checks, GenerationRequest& request,
               std::vector<RequestInput>& inputs) {
  if (!replaced && !message.has_mix()) checks.Prompt("prompt", message.prompt());
  request.prompt = message.prompt();
  request.strict_prompt = message.strict_prompt();
  if (message.has_negative_prompt()) {
    checks.Text("negative_prompt", message.negative_prompt());
    request.negative_prompt = message.negative_prompt();
  }
  if (message.has_negative_prior_prompt()) {
    checks.Text("negative_prior_prompt", message.negative_prior_prompt());
    request.negative_prior_prompt = message.negative_prior_prompt();
  }
  if (message.has_prior_steps()) request.prior_steps = message.prior_steps();
  if (message.has_prior_guidance_scale()) {
    request.prior_guidance_scale = WithoutMinusZero(message.prior_guidance_scale());
  }
  if (message.has_mix()) ReadMix(message.mix(), checks, request, inputs);
  if (message.has_prior_start()) ReadPriorStart(message.prior_start(), checks, request, inputs);
}

}  // namespace kandinsky::server
