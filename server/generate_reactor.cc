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
                                                                 grpc::CallbackServerContext& rpc,
                                                                 const grpc::ByteBuffer& request_bytes) {
  const auto call = std::make_shared<GenerateReactor>(context, rpc);
  const ReactionOrder order(call.get());
  call->self_ = call;
  call->Start(request_bytes);
  return call.get();
}

GenerateReactor::GenerateReactor(const CallContext& context, grpc::CallbackServerContext& rpc)
    : GenerationCall(context, "Generate", ReplyKind::kStream, rpc),
      events_(static_cast<size_t>(context.limits.image_chunk_bytes())) {}

template <typename Body>
void GenerateReactor::Guarded(Body&& body) noexcept {
  GuardExceptions(std::forward<Body>(body), [this](const std::string& cause) {
    const grpc::Status error = InternalError(cause);
    Operation next = Operation::kNone;
    {
      MutexLock lock(write_mutex_);
      if (!final_status_.has_value()) final_status_ = error;
      next = Next();
    }
    Begin(next);
  });
}

void GenerateReactor::OnEvent(const v1::GenerateEvent& event) {
  Guarded([&] {
    Operation next = Operation::kNone;
    {
      MutexLock lock(write_mutex_);
      if (broken_ || final_status_.has_value()) return;
      events_.Push(event);
      next = Next();
    }
    Begin(next);
  });
}

void GenerateReactor::OnImage(SharedImage image) {
  Guarded([&] {
    Operation next = Operation::kNone;
    {
      MutexLock lock(write_mutex_);
      if (broken_ || final_status_.has_value()) return;
      events_.PushImage(std::move(image));
      next = Next();
    }
    Begin(next);
  });
}

void GenerateReactor::Close(const grpc::Status& status, const v1::GenerationSummary& summary) {
  if (status.ok()) {
    Guarded([&] {
      v1::GenerateEvent event;
      *event.mutable_completed() = summary;
      OnEvent(event);
    });
  }
  Operation next = Operation::kNone;
  {
    MutexLock lock(write_mutex_);
    if (!final_status_.has_value()) final_status_ = status;
    next = Next();
  }
  Begin(next);
}

GenerateReactor::Operation GenerateReactor::Next() {
  if (write_under_way_ || finished_) return Operation::kNone;
  if (TakeNextMessage()) return Operation::kWrite;
  finished_ = final_status_.has_value();
  return finished_ ? Operation::kFinish : Operation::kNone;
}

bool GenerateReactor::TakeNextMessage() {
  grpc::Status status;
  write_under_way_ = TakeMessage(events_, writing_, status);
  if (!status.ok()) final_status_ = status;
  return write_under_way_;
}

// The message is constant until the write is done, which comes after its start, and the status for good.
void GenerateReactor::Begin(Operation operation) NO_THREAD_SAFETY_ANALYSIS {
  if (operation == Operation::kWrite) StartWrite(&writing_);
  if (operation == Operation::kFinish) Finish(*final_status_);
}

void GenerateReactor::OnWriteDone(bool ok) {
  const ReactionOrder order(this);
  Operation next = Operation::kNone;
  {
    MutexLock lock(write_mutex_);
    write_under_way_ = false;
    writing_.Clear();
    if (!ok) {
      broken_ = true;
      events_.Clear();
    }
    next = Next();
  }
  Begin(next);
}

void GenerateReactor::OnCancel() {
  const ReactionOrder order(this);
  GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
}

void GenerateReactor::OnDone() {
  const ReactionOrder order(this);
  RpcDone();
  self_.reset();
}

}  // namespace kandinsky
