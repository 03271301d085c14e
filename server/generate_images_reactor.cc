#include "server/generate_images_reactor.h"

#include <utility>

#include "server/exception_guard.h"
#include "server/reaction_order.h"
#include "server/wire.h"

namespace kandinsky {

grpc::ServerUnaryReactor* GenerateImagesReactor::Run(const CallContext& context,
                                                     grpc::CallbackServerContext& rpc,
                                                     const grpc::ByteBuffer& request_bytes,
                                                     grpc::ByteBuffer& response) {
  const auto call = std::make_shared<GenerateImagesReactor>(context, rpc, response);
  const ReactionOrder order(call.get());
  call->self_ = call;
  call->Start(request_bytes);
  return call.get();
}

void GenerateImagesReactor::OnEvent(const v1::GenerateEvent&) {}

void GenerateImagesReactor::OnImage(SharedImage image) {
  MutexLock lock(images_mutex_);
  const int index = image->index();
  images_[index] = std::move(image);
}

void GenerateImagesReactor::Close(const grpc::Status& status, const v1::GenerationSummary& summary) {
  grpc::Status final_status = status;
  if (status.ok()) {
    GuardExceptions(
        [&] {
          v1::GenerateImagesResponse response;
          *response.mutable_summary() = summary;
          MutexLock lock(images_mutex_);
          for (const auto& [index, image] : images_) *response.add_images() = *image;
          images_.clear();
          if (!SerializeMessage(response, response_bytes_)) {
            final_status = InternalError("the response could not be serialised");
          }
        },
        [&](const std::string& cause) { final_status = InternalError(cause); });
  }
  Finish(final_status);
}

void GenerateImagesReactor::OnCancel() {
  const ReactionOrder order(this);
  GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
}

void GenerateImagesReactor::OnDone() {
  const ReactionOrder order(this);
  RpcDone();
  self_.reset();
}

}  // namespace kandinsky
