#include "server/image_generation_service.h"

#include "server/config.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/generate_images_reactor.h"
#include "server/generate_reactor.h"
#include "server/wire.h"

namespace kandinsky {
namespace {

void LogThrow(const std::string& cause) { InternalError(cause); }

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* ImageGenerationService::Generate(
    grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request) {
  grpc::ServerWriteReactor<grpc::ByteBuffer>* reactor = nullptr;
  GuardExceptions([&] { reactor = GenerateReactor::Run(context_, *rpc, *request); }, LogThrow);
  return reactor;
}

grpc::ServerUnaryReactor* ImageGenerationService::GenerateImages(grpc::CallbackServerContext* rpc,
                                                                 const grpc::ByteBuffer* request,
                                                                 grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* reactor = nullptr;
  GuardExceptions([&] { reactor = GenerateImagesReactor::Run(context_, *rpc, *request, *response); },
                  LogThrow);
  return reactor;
}

grpc::ServerUnaryReactor* ImageGenerationService::CancelGeneration(grpc::CallbackServerContext* rpc,
                                                                   const grpc::ByteBuffer* request,
                                                                   grpc::ByteBuffer* response) {
  const absl::Time arrival = context_.clock.Now();
  grpc::Status status;
  GuardExceptions([&] { status = Cancel(*request, *response); },
                  [&](const std::string& cause) { status = InternalError(cause); });
  GuardExceptions(
      [&] {
        context_.metrics.RecordRequest("CancelGeneration", StatusCodeName(status.error_code()),
                                       ErrorReason(status), context_.clock.Now() - arrival);
      },
      LogThrow);
  grpc::ServerUnaryReactor* const reactor = rpc->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

grpc::Status ImageGenerationService::Cancel(const grpc::ByteBuffer& request_bytes,
                                            grpc::ByteBuffer& response_bytes) const {
  v1::CancelGenerationRequest request;
  if (!ParseMessage(request_bytes, request)) return MalformedRequestError();
  if (!IsValidName(request.id())) {
    return InvalidRequestError({{"id", "must have 1 to 128 characters of A-Z a-z 0-9 . _ -"}});
  }
  Engine* const engine = context_.serving.engine();
  if (engine == nullptr || !engine->Cancel(request.id()).ok())
    return NotFoundError("generation", request.id());
  SerializeMessage(v1::CancelGenerationResponse(), response_bytes);
  return grpc::Status::OK;
}

}  // namespace kandinsky
