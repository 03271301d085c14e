#pragma once

#include <grpcpp/support/server_callback.h>

#include "kandinsky/v1/embedding.grpc.pb.h"
#include "server/call_context.h"

namespace kandinsky {

// kandinsky.v1.EmbeddingService on the callback API. No method blocks or throws. Requests come as raw bytes,
// see server/wire.h. Thread-safe.
class EmbeddingService final : public v1::EmbeddingService::WithRawCallbackMethod_EmbedText<
                                   v1::EmbeddingService::WithRawCallbackMethod_EmbedImages<
                                       v1::EmbeddingService::WithRawCallbackMethod_GenerateImageEmbedding<
                                           v1::EmbeddingService::WithRawCallbackMethod_EncodeLatents<
                                               v1::EmbeddingService::WithRawCallbackMethod_DecodeLatents<
                                                   v1::EmbeddingService::Service>>>>> {
 public:
  explicit EmbeddingService(const CallContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* EmbedText(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* EmbedImages(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GenerateImageEmbedding(grpc::CallbackServerContext* rpc,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* EncodeLatents(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DecodeLatents(grpc::CallbackServerContext* rpc, const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  const CallContext context_;
};

}  // namespace kandinsky
