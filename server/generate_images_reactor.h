#pragma once

#include <map>
#include <memory>

#include "server/generation_call.h"

namespace kandinsky::server {

// The unary call: gathers the images and answers once. Lives until OnDone and until the record has let go of
// it.
class GenerateImagesReactor final : public GenerationCall {
 public:
  GenerateImagesReactor(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc)
      : GenerationCall(context, method, ReplyKind::kUnary, rpc) {}

 private:
  void OnEvent(const v1::GenerateEvent& event) override;
  void OnImage(SharedImage image) override EXCLUDES(images_mutex_);
  void Close(const grpc::Status& status, const v1::GenerationSummary& summary) override
      EXCLUDES(images_mutex_);

  grpc::ByteBuffer response_bytes_;  // constant once it is being sent

  Mutex images_mutex_;
  std::map<int, SharedImage> images_ GUARDED_BY(images_mutex_);
};

}  // namespace kandinsky::server
