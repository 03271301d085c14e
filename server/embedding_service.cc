#include "server/embedding_service.h"

#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "server/call_message.h"
#include "server/embedding_call.h"
#include "server/exception_guard.h"
#include "server/random_seed.h"

namespace kandinsky {
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
    metrics.RecordRejectedPictures(*violations);
    return InvalidRequestError(*violations);
  }
  auto& validated = std::get<ValidatedEmbedding<Response>>(checked);
  const auto answer = [make = std::move(validated.answer)](const EmbeddingResults& results,
                                                           grpc::ByteBuffer& response_bytes) -> absl::Status {
    ASSIGN_OR_RETURN(const Response response, make(results));
    if (SerializeMessage(response, response_bytes)) return absl::OkStatus();
    return absl::InternalError("the response could not be serialised");
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

// Null, which gRPC answers with an error, when not even a call can be made.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* RunCall(const CallContext& context, const char* method,
                                  grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& request,
                                  grpc::ByteBuffer& response) {
  grpc::ServerUnaryReactor* reactor = nullptr;
  const auto read = [&context](const grpc::ByteBuffer& bytes, const ValidationRules& rules) {
    return ReadJob<Request, Response>(bytes, rules, context.metrics);
  };
  GuardExceptions([&] { reactor = EmbeddingCall::Run(context, method, rpc, request, response, read); },
                  [](const std::string& cause) { InternalError(cause); });
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* EmbeddingService::EmbedText(grpc::CallbackServerContext* rpc,
                                                      const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return RunCall<v1::EmbedTextRequest, v1::EmbedTextResponse>(context_, "EmbedText", *rpc, *request,
                                                              *response);
}

grpc::ServerUnaryReactor* EmbeddingService::EmbedImages(grpc::CallbackServerContext* rpc,
                                                        const grpc::ByteBuffer* request,
                                                        grpc::ByteBuffer* response) {
  return RunCall<v1::EmbedImagesRequest, v1::EmbedImagesResponse>(context_, "EmbedImages", *rpc, *request,
                                                                  *response);
}

grpc::ServerUnaryReactor* EmbeddingService::GenerateImageEmbedding(grpc::CallbackServerContext* rpc,
                                                                   const grpc::ByteBuffer* request,
                                                                   grpc::ByteBuffer* response) {
  return RunCall<v1::GenerateImageEmbeddingRequest, v1::GenerateImageEmbeddingResponse>(
      context_, "GenerateImageEmbedding", *rpc, *request, *response);
}

grpc::ServerUnaryReactor* EmbeddingService::EncodeLatents(grpc::CallbackServerContext* rpc,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  return RunCall<v1::EncodeLatentsRequest, v1::EncodeLatentsResponse>(context_, "EncodeLatents", *rpc,
                                                                      *request, *response);
}

grpc::ServerUnaryReactor* EmbeddingService::DecodeLatents(grpc::CallbackServerContext* rpc,
                                                          const grpc::ByteBuffer* request,
                                                          grpc::ByteBuffer* response) {
  return RunCall<v1::DecodeLatentsRequest, v1::DecodeLatentsResponse>(context_, "DecodeLatents", *rpc,
                                                                      *request, *response);
}

}  // namespace kandinsky
