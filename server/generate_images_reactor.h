#pragma once

#include <grpcpp/support/server_callback.h>

#include <memory>

#include "server/generation_call.h"

namespace kandinsky {

// The unary call: gathers the images and answers once. Lives until OnDone and until the engine has let go of
// it.
class GenerateImagesReactor final : public grpc::ServerUnaryReactor, public GenerationCall {
 public:
  // Starts the call and returns its reactor, which owns itself. `response` belongs to the RPC.
  static grpc::ServerUnaryReactor* Run(const CallContext& context, const grpc::CallbackServerContext& rpc,
                                       const grpc::ByteBuffer& request_bytes, grpc::ByteBuffer& response);

  GenerateImagesReactor(const CallContext& context, grpc::ByteBuffer& response)
      : GenerationCall(context, "GenerateImages", ReplyKind::kUnary), response_bytes_(response) {}

  void OnCancel() override;
  void OnDone() override;

 private:
  void Deliver(v1::GenerateEvent event) override EXCLUDES(response_mutex_);
  void Close(const grpc::Status& status, v1::GenerationSummary summary) override EXCLUDES(response_mutex_);

  std::shared_ptr<GenerateImagesReactor> self_;  // until OnDone
  grpc::ByteBuffer& response_bytes_;

  Mutex response_mutex_;
  v1::GenerateImagesResponse response_ GUARDED_BY(response_mutex_);
};

}  // namespace kandinsky
