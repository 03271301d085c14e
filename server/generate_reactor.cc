#include "server/generate_reactor.h"

#include <utility>

#include "server/exception_guard.h"
#include "server/reaction_order.h"
#include "server/wire.h"

namespace kandinsky::server {
namespace {

// Serializes the next event into `message`. False when there is none, or when it failed: then `status` says
// so.
bool TakeMessage(EventQueue& events, grpc::ByteBuffer& message, grpc::Status& status) {
  bool taken = false;
  GuardExceptions(
      [&] {
        const std::optional<v1::GenerateEvent> event = events.Pop();
        if (!event.has_value()) return;
        taken = SerializeMessage(*event, message);
        if (!taken) status = InternalError("an event could not be serialized");
      },
      [&](const std::string& cause) { status = InternalError(cause); });
  return taken;
}

}  // namespace

GenerateReactor::GenerateReactor(const CallContext& context, const RpcMethod& method,
                                 grpc::CallbackServerContext& rpc)
    : GenerationCall(context, method, ReplyKind::kStream, rpc),
      writer_(context.writer),
      events_(static_cast<size_t>(context.limits.image_chunk_bytes())) {}

template <typename Body>
void GenerateReactor::Guarded(Body&& body) noexcept {
  GuardExceptions(std::forward<Body>(body), [this](const std::string& cause) {
    const grpc::Status error = InternalError(cause);
    {
      MutexLock lock(write_mutex_);
      if (!final_status_.has_value()) final_status_ = error;
    }
    WriteNext();
  });
}

void GenerateReactor::OnEvent(const v1::GenerateEvent& event) {
  Guarded([&] {
    {
      MutexLock lock(write_mutex_);
      if (broken_ || final_status_.has_value()) return;
      events_.Push(event);
    }
    WakeWriter();
  });
}

void GenerateReactor::OnImage(SharedImage image) {
  Guarded([&] {
    {
      MutexLock lock(write_mutex_);
      if (broken_ || final_status_.has_value()) return;
      events_.PushImage(std::move(image));
    }
    WakeWriter();
  });
}

void GenerateReactor::Close(const grpc::Status& status, const v1::GenerationSummary& summary) {
  Guarded([&] {
    if (status.ok()) {
      v1::GenerateEvent event;
      *event.mutable_completed() = summary;
      OnEvent(event);
    }
    {
      MutexLock lock(write_mutex_);
      if (!final_status_.has_value()) final_status_ = status;
    }
    WakeWriter();
  });
}

void GenerateReactor::WakeWriter() {
  {
    MutexLock lock(write_mutex_);
    if (writer_woken_ || write_under_way_ || finished_) return;
    writer_woken_ = true;
  }
  writer_.Schedule([self = std::static_pointer_cast<GenerateReactor>(shared_from_this())] {
    {
      MutexLock lock(self->write_mutex_);
      self->writer_woken_ = false;
    }
    self->WriteNext();
  });
}

// The message is constant until the write is done, which comes after its start, and the status for good.
void GenerateReactor::WriteNext() NO_THREAD_SAFETY_ANALYSIS {
  Operation next = Operation::kNone;
  {
    MutexLock lock(write_mutex_);
    next = Next();
  }
  if (next == Operation::kWrite) StartWrite(&writing_);
  if (next == Operation::kFinish) Finish(*final_status_);
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

void GenerateReactor::OnWriteDone(bool ok) {
  const ReactionOrder order(this);
  {
    MutexLock lock(write_mutex_);
    write_under_way_ = false;
    writing_.Clear();
    if (!ok) {
      broken_ = true;
      events_.Clear();
    }
  }
  WriteNext();
}

}  // namespace kandinsky::server
