#include "server/embedding_service.h"

#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "kandinsky/v1/embedding.grpc.pb.h"
#include "server/call_message.h"
#include "server/embedding_call.h"
#include "server/random_seed.h"

namespace kandinsky::server {
namespace {

// Reads and checks a `Request`; `metrics` outlives the call.
template <typename Request, typename Response>
std::variant<EmbeddingJob, grpc::Status> ReadJob(const grpc::ByteBuffer& bytes, const ValidationRules& rules,
                                                 Metrics& metrics) {
  const auto request = std::make_shared<Request>();
  const std::optional<grpc::Status> error = ReadMessage(bytes, rules.limits, *request);
  if (error.has_value()) return *error;
  EmbeddingCheck<Response> checked = ValidateEmbedding(*request, rules, DrawSeed);
  if (const auto* violations = std::get_if<std::vector<FieldViolation>>(&checked)) {
    metrics.RecordRejectedImages(*violations);
    return InvalidRequestError(*violations);
  }
  auto& validated = std::get<ValidatedEmbedding<Response>>(checked);
  const auto answer = [make = std::move(validated.answer)](const EmbeddingResults& results,
                                                           grpc::ByteBuffer& response_bytes) -> absl::Status {
    ASSIGN_OR_RETURN(const Response response, make(results));
    if (SerializeMessage(response, response_bytes)) return absl::OkStatus();
    return absl::InternalError("the response could not be serialized");
  };
  return EmbeddingJob{.model = request->model(),
                      .requests = std::move(validated.requests),
                      .inputs = std::move(validated.inputs),
                      .lacks = std::move(validated.lacks),
                      .message = request,
                      .text_list = validated.text_list,
                      .reply_bytes = validated.reply_bytes,
                      .answer = answer};
}

template <typename Request, typename Response>
void Add(const char* name, int64_t max_message_bytes, const CallContext& context, RpcDispatcher& dispatcher) {
  const RpcMethod method = {v1::EmbeddingService::service_full_name(), name, "unary"};
  dispatcher.Add(method, [context, method, max_message_bytes](grpc::GenericCallbackServerContext& rpc) {
    const auto read = [context](const grpc::ByteBuffer& bytes, const ValidationRules& rules) {
      return ReadJob<Request, Response>(bytes, rules, context.metrics);
    };
    return IncomingCall::Run(std::make_shared<EmbeddingCall>(context, method, rpc, max_message_bytes, read));
  });
}

}  // namespace

void AddEmbeddingService(const CallContext& context, RpcDispatcher& dispatcher) {
  const int64_t text = context.limits.max_text_message_bytes();
  const int64_t all = context.limits.max_receive_message_bytes();
  Add<v1::EmbedTextRequest, v1::EmbedTextResponse>("EmbedText", text, context, dispatcher);
  Add<v1::EmbedImagesRequest, v1::EmbedImagesResponse>("EmbedImages", all, context, dispatcher);
  Add<v1::GenerateImageEmbeddingRequest, v1::GenerateImageEmbeddingResponse>("GenerateImageEmbedding", all,
                                                                             context, dispatcher);
  Add<v1::EncodeLatentsRequest, v1::EncodeLatentsResponse>("EncodeLatents", all, context, dispatcher);
  Add<v1::DecodeLatentsRequest, v1::DecodeLatentsResponse>("DecodeLatents", all, context, dispatcher);
}

}  // namespace kandinsky::server
