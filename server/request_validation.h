#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "pipeline/generation_request.h"
#include "pipeline/plan.h"
#include "scheduler/engine_types.h"
#include "server/error_details.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// How a result is encoded.
struct ResultEncoding {
  v1::OutputFormat format = v1::OUTPUT_FORMAT_PNG;
  int quality = 90;  // of JPEG and WebP
  bool embed_parameters = false;
};

// A request in native types, every range checked.
struct ValidatedRequest {
  std::string request_id;  // given or drawn
  ResultEncoding encoding;
  int64_t result_bytes = 0;  // ResultBytes of each image
  bool validate_only = false;
  Priority priority = Priority::kNormal;
  bool detach = false;
  // One per image; they differ in their seed only. Complete but for `inputs`. None when there are `lacks`.
  std::vector<GenerationRequest> images;
  std::shared_ptr<const Plan> plan;  // of each image
  // In the order in which they are to be prepared. They point into the wire message.
  std::vector<RequestInput> inputs;
  // What the model cannot do for it.
  std::vector<PreconditionViolation> lacks;
};

// The most that one result takes in memory and on the wire, in bytes; files hardly exceed the raw pixels,
// even those of noise. Width and height in pixels, `latent_scale` as in Capabilities.
int64_t ResultBytes(v1::OutputFormat format, int width, int height, int latent_scale);

// Checks how results are to be encoded.
void CheckOutput(const v1::OutputOptions& output, FieldChecks& checks, ResultEncoding& encoding);

// Checks everything but what the names of model and adapters stand for, and converts; the only place that
// knows both the wire message and the native request. Either the native request or all violations, in the
// order of the fields. Images are looked at as far as their header. `draw_seed` gives the seed of a request
// that has none. Pure apart from it and from drawing an id.
std::variant<ValidatedRequest, std::vector<FieldViolation>> ValidateGenerateRequest(
    const v1::GenerateRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed);

}  // namespace kandinsky::server
