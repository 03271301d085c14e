#include "server/generate_reactor.h"

#include <utility>

#include "server/exception_guard.h"
#include "server/reaction_order.h"
#include "server/wire.h"

namespace kandinsky {
namespace {

// Serialises the next event into `message`. False when there is none, or when it failed: then `status` says
// so.
bool TakeMessage(EventQueue& events, grpc::ByteBuffer& message, grpc::Status& status) {
  bool taken = false;
  GuardExceptions(
      [&] {
        const std::optional<v1::GenerateEvent> event = events.Pop();
        if (!event.has_value()) return;
        taken = SerializeMessage(*event, message);
        if (!taken) status = InternalError("an event could not be serialised");
      },
      [&](const std::string& cause) { status = InternalError(cause); });
  return taken;
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerateReactor::Run(const CallContext& context,
                                                                 const grpc::CallbackServerContext& rpc,
                                                                 const grpc::ByteBuffer& request_bytes) {
  const auto call = std::make_shared<GenerateReactor>(context);
  const ReactionOrder order(call.get());
  call->self_ = call;
  call->Start(rpc, request_bytes);
  return call.get();
}

GenerateReactor::GenerateReactor(const CallContext& context)
    : GenerationCall(context, "Generate", ReplyKind::kStream),
      events_(static_cast<size_t>(context.limits.image_chunk_bytes())) {}

void GenerateReactor::Deliver(v1::GenerateEvent event) {
  MutexLock lock(write_mutex_);
  if (broken_) return;
  events_.Push(std::move(event));
  Advance();
}

void GenerateReactor::Close(const grpc::Status& status, v1::GenerationSummary summary) {
  MutexLock lock(write_mutex_);
  final_status_ = status;
  if (status.ok() && !broken_) {
    v1::GenerateEvent event;
    *event.mutable_completed() = std::move(summary);
    events_.Push(std::move(event));
  }
  Advance();
}

void GenerateReactor::Advance() {
  if (write_under_way_ || finished_ || StartNextWrite()) return;
  if (!final_status_.has_value()) return;
  finished_ = true;
  Finish(*final_status_);
}

bool GenerateReactor::StartNextWrite() {
  grpc::Status status;
  write_under_way_ = TakeMessage(events_, writing_, status);
  if (!status.ok()) final_status_ = status;
  if (write_under_way_) StartWrite(&writing_);
  return write_under_way_;
}

void GenerateReactor::OnWriteDone(bool ok) {
  const ReactionOrder order(this);
  MutexLock lock(write_mutex_);
  write_under_way_ = false;
  writing_.Clear();
  if (!ok) {
    broken_ = true;
    events_.Clear();
  }
  Advance();
}

void GenerateReactor::OnCancel() {
  const ReactionOrder order(this);
  GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
}

void GenerateReactor::OnDone() {
  const ReactionOrder order(this);
  self_.reset();
}

}  // namespace kandinsky
