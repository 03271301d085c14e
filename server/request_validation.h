#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "kandinsky/v1/image_generation.pb.h"
#include "kandinsky/v1/server_config.pb.h"
#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"
#include "scheduler/engine_types.h"
#include "server/error_details.h"

namespace kandinsky {

// How the results travel. A unary reply must fit into one message.
enum class ReplyKind { kStream, kUnary };

// A request in native types, every range checked.
struct ValidatedRequest {
  std::string request_id;  // given or drawn
  v1::OutputFormat format = v1::OUTPUT_FORMAT_PNG;
  bool validate_only = false;
  Priority priority = Priority::kNormal;
  bool detach = false;
  // One per image; they differ in their seed only.
  std::vector<GenerationRequest> images;
};

// The most that one result takes in memory and on the wire, in bytes; a PNG hardly exceeds its raw pixels.
// Width and height in pixels.
int64_t ResultBytes(v1::OutputFormat format, int width, int height);

// What a request is checked against.
struct ValidationRules {
  const v1::LimitsConfig& limits;  // complete
  const Capabilities& capabilities;
  ReplyKind reply = ReplyKind::kStream;
};

// Checks everything but the model's name and converts; the only place that knows both the wire message and
// the native request. Either the native request or all violations, in the order of the fields. `draw_seed`
// gives the seed of a request that has none. Pure apart from it and from drawing an id.
std::variant<ValidatedRequest, std::vector<FieldViolation>> ValidateGenerateRequest(
    const v1::GenerateRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed);

}  // namespace kandinsky
