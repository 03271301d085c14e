#include "server/generate_images_reactor.h"

#include <algorithm>
#include <utility>

#include "server/exception_guard.h"
#include "server/reaction_order.h"
#include "server/wire.h"

namespace kandinsky {

grpc::ServerUnaryReactor* GenerateImagesReactor::Run(const CallContext& context,
                                                     const grpc::CallbackServerContext& rpc,
                                                     const grpc::ByteBuffer& request_bytes,
                                                     grpc::ByteBuffer& response) {
  const auto call = std::make_shared<GenerateImagesReactor>(context, response);
  const ReactionOrder order(call.get());
  call->self_ = call;
  call->Start(rpc, request_bytes);
  return call.get();
}

void GenerateImagesReactor::Deliver(v1::GenerateEvent event) {
  if (!event.has_image()) return;
  MutexLock lock(response_mutex_);
  *response_.add_images() = std::move(*event.mutable_image());
}

void GenerateImagesReactor::Close(const grpc::Status& status, v1::GenerationSummary summary) {
  grpc::Status final_status = status;
  if (status.ok()) {
    GuardExceptions(
        [&] {
          MutexLock lock(response_mutex_);
          *response_.mutable_summary() = std::move(summary);
          auto& images = *response_.mutable_images();
          std::sort(images.pointer_begin(), images.pointer_end(),
                    [](const auto* a, const auto* b) { return a->index() < b->index(); });
          if (!SerializeMessage(response_, response_bytes_)) {
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
  self_.reset();
}

}  // namespace kandinsky
