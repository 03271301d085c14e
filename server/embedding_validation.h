#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "kandinsky/v1/embedding.pb.h"
#include "pipeline/generation_request.h"
#include "scheduler/generation_observer.h"
#include "server/error_details.h"
#include "server/field_checks.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// What the engine made of the requests of one call: one result for each, in order.
struct EmbeddingResults {
  std::vector<FinishedImage> results;
  GenerationStatistics statistics;
};

// A request of EmbeddingService in native types, every range checked. `Response` answers it.
template <typename Response>
struct ValidatedEmbedding {
  // One per text, image or seed; all with the same task. Complete but for `inputs`.
  std::vector<GenerationRequest> requests;
  // They point into the wire message.
  std::vector<RequestInput> inputs;
  // What the model cannot do for it.
  std::vector<PreconditionViolation> lacks;
  // The field with one text per request, null when there is none.
  const char* text_list = nullptr;
  // The most that the answer takes.
  int64_t reply_bytes = 0;
  // Makes the answer; INTERNAL when a result lacks what it should have. Takes milliseconds for an image.
  std::function<absl::StatusOr<Response>(const EmbeddingResults&)> answer;
};

template <typename Response>
using EmbeddingCheck = std::variant<ValidatedEmbedding<Response>, std::vector<FieldViolation>>;

// These check everything but what the names of model and adapters stand for, and convert. Either the native
// request or all violations, in the order of the fields. `draw_seed` gives the seed of a request that has
// none. Pure apart from it.
EmbeddingCheck<v1::EmbedTextResponse> ValidateEmbedding(const v1::EmbedTextRequest& request,
                                                        const ValidationRules& rules,
                                                        const std::function<uint64_t()>& draw_seed);
EmbeddingCheck<v1::EmbedImagesResponse> ValidateEmbedding(const v1::EmbedImagesRequest& request,
                                                          const ValidationRules& rules,
                                                          const std::function<uint64_t()>& draw_seed);
EmbeddingCheck<v1::GenerateImageEmbeddingResponse> ValidateEmbedding(
    const v1::GenerateImageEmbeddingRequest& request, const ValidationRules& rules,
    const std::function<uint64_t()>& draw_seed);
EmbeddingCheck<v1::EncodeLatentsResponse> ValidateEmbedding(const v1::EncodeLatentsRequest& request,
                                                            const ValidationRules& rules,
                                                            const std::function<uint64_t()>& draw_seed);
EmbeddingCheck<v1::DecodeLatentsResponse> ValidateEmbedding(const v1::DecodeLatentsRequest& request,
                                                            const ValidationRules& rules,
                                                            const std::function<uint64_t()>& draw_seed);

}  // namespace kandinsky::server
