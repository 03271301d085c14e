#include "server/image_generation_service.h"

#include <optional>

#include "server/call_message.h"
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

template <typename Request, typename Response>
grpc::ServerUnaryReactor* ImageGenerationService::Answer(
    const char* method,
    grpc::Status (GenerationMethods::*handle)(const grpc::ServerContextBase&, const Request&, Response&)
        const,
    grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& request_bytes,
    grpc::ByteBuffer& response_bytes) const {
  const absl::Time arrival = context_.clock.Now();
  grpc::Status status;
  GuardExceptions(
      [&] {
        context_.metrics.RecordStarted(method);
        Request request;
        Response response;
        const std::optional<grpc::Status> error = ReadMessage(request_bytes, context_.limits, request);
        status = error.has_value() ? *error : (methods_.*handle)(rpc, request, response);
        if (status.ok() && !SerializeMessage(response, response_bytes)) {
          status = InternalError("the response could not be serialised");
        }
      },
      [&](const std::string& cause) { status = InternalError(cause); });
  GuardExceptions(
      [&] {
        context_.metrics.RecordRequest(method, StatusCodeName(status.error_code()), ErrorReason(status),
                                       context_.clock.Now() - arrival);
      },
      LogThrow);
  grpc::ServerUnaryReactor* const reactor = rpc.DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

grpc::ServerUnaryReactor* ImageGenerationService::CancelGeneration(grpc::CallbackServerContext* rpc,
                                                                   const grpc::ByteBuffer* request,
                                                                   grpc::ByteBuffer* response) {
  return Answer("CancelGeneration", &GenerationMethods::Cancel, *rpc, *request, *response);
}

grpc::ServerUnaryReactor* ImageGenerationService::GetGeneration(grpc::CallbackServerContext* rpc,
                                                                const grpc::ByteBuffer* request,
                                                                grpc::ByteBuffer* response) {
  return Answer("GetGeneration", &GenerationMethods::Get, *rpc, *request, *response);
}

grpc::ServerUnaryReactor* ImageGenerationService::ListGenerations(grpc::CallbackServerContext* rpc,
                                                                  const grpc::ByteBuffer* request,
                                                                  grpc::ByteBuffer* response) {
  return Answer("ListGenerations", &GenerationMethods::List, *rpc, *request, *response);
}

}  // namespace kandinsky
