#pragma once

#include <grpcpp/support/server_callback.h>

#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/call_context.h"
#include "server/generation_methods.h"

namespace kandinsky {

// kandinsky.v1.ImageGenerationService on the callback API. No method blocks or throws. Requests come as raw
// bytes, see server/wire.h. Thread-safe.
class ImageGenerationService final
    : public v1::ImageGenerationService::WithRawCallbackMethod_Generate<
          v1::ImageGenerationService::WithRawCallbackMethod_GenerateImages<
              v1::ImageGenerationService::WithRawCallbackMethod_CancelGeneration<
                  v1::ImageGenerationService::WithRawCallbackMethod_GetGeneration<
                      v1::ImageGenerationService::WithRawCallbackMethod_ListGenerations<
                          v1::ImageGenerationService::Service>>>>> {
 public:
  explicit ImageGenerationService(const CallContext& context) : context_(context), methods_(context) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* rpc,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CancelGeneration(grpc::CallbackServerContext* rpc,
                                             const grpc::ByteBuffer* request,
                                             grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetGeneration(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListGenerations(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;

 private:
  // Answers a call of `method` with what `handle` makes of its request.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(const char* method,
                                   grpc::Status (GenerationMethods::*handle)(const grpc::ServerContextBase&,
                                                                             const Request&, Response&) const,
                                   grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& request_bytes,
                                   grpc::ByteBuffer& response_bytes) const;

  const CallContext context_;
  const GenerationMethods methods_;
};

}  // namespace kandinsky
