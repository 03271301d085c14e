#pragma once

#include <grpcpp/support/server_callback.h>

#include <map>
#include <memory>

#include "server/generation_call.h"

namespace kandinsky {

// The unary call: gathers the images and answers once. Lives until OnDone and until the record has let go of
// it.
class GenerateImagesReactor final : public grpc::ServerUnaryReactor, public GenerationCall {
 public:
  // Starts the call and returns its reactor, which owns itself. `response` belongs to the RPC.
  static grpc::ServerUnaryReactor* Run(const CallContext& context, grpc::CallbackServerContext& rpc,
                                       const grpc::ByteBuffer& request_bytes, grpc::ByteBuffer& response);

  GenerateImagesReactor(const CallContext& context, grpc::CallbackServerContext& rpc,
                        grpc::ByteBuffer& response)
      : GenerationCall(context, "GenerateImages", ReplyKind::kUnary, rpc), response_bytes_(response) {}

  void OnCancel() override;
  void OnDone() override;

 private:
  void OnEvent(const v1::GenerateEvent& event) override;
  void OnImage(SharedImage image) override EXCLUDES(images_mutex_);
  void Close(const grpc::Status& status, const v1::GenerationSummary& summary) override
      EXCLUDES(images_mutex_);

  std::shared_ptr<GenerateImagesReactor> self_;  // until OnDone
  grpc::ByteBuffer& response_bytes_;

  Mutex images_mutex_;
  std::map<int, SharedImage> images_ GUARDED_BY(images_mutex_);
};

}  // namespace kandinsky
