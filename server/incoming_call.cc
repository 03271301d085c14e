#include "server/incoming_call.h"

#include <grpc/byte_buffer_reader.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/reaction_order.h"

namespace kandinsky::server {
namespace {

// gRPC would inflate a message before anybody could look at its size; so that is switched off, and what comes
// compressed is refused here.
class CompressionOf : public grpc::ProtoBufferReader {
 public:
  explicit CompressionOf(grpc::ByteBuffer* bytes) : ProtoBufferReader(bytes) {}

  bool IsSet() { return status().ok() && reader()->buffer_in->data.raw.compression != GRPC_COMPRESS_NONE; }
};

bool IsCompressed(const grpc::ByteBuffer& bytes) {
  grpc::ByteBuffer shared(bytes);  // a reader empties its buffer; this one shares the slices
  return CompressionOf(&shared).IsSet();
}

}  // namespace

grpc::ServerGenericBidiReactor* IncomingCall::Run(const std::shared_ptr<IncomingCall>& call) {
  const ReactionOrder order(call.get());
  call->self_ = call;
  call->Read();
  return call.get();
}

IncomingCall::IncomingCall(const CallContext& context, const RpcMethod& method,
                           grpc::CallbackServerContext& rpc, int64_t max_message_bytes,
                           CallLifetime::LogLine line)
    : lifetime_(context, method, rpc, line),
      context_(context),
      rpc_(rpc),
      max_message_bytes_(max_message_bytes) {
  lifetime_.TakeDeadline();
}

void IncomingCall::Read() {
  watch_ = context_.watch.Begin(rpc_.peer(), max_message_bytes_, [call = weak_from_this()] {
    if (const auto self = call.lock()) self->RefuseUnread(self->TooLargeError());
  });
  lifetime_.SetTimer(lifetime_.deadline(), [call = weak_from_this()] {
    if (const auto self = call.lock()) self->RefuseUnread(DeadlineExceededError("message"));
  });
  StartRead(&message_);
}

bool IncomingCall::EndReading() {
  MutexLock lock(mutex_);
  return !std::exchange(read_, true);
}

void IncomingCall::RefuseUnread(const grpc::Status& error) {
  if (EndReading()) GuardExceptions([&] { Refuse(error); }, [](const std::string&) {});
}

grpc::Status IncomingCall::TooLargeError() const {
  const bool text_only = max_message_bytes_ == context_.limits.max_text_message_bytes();
  return text_only ? MessageTooLargeError(max_message_bytes_) : ReceiveLimitError(max_message_bytes_);
}

grpc::Status IncomingCall::CheckMessage() const {
  if (IsCompressed(message_)) return CompressedMessageError();
  if (message_.Length() > static_cast<size_t>(max_message_bytes_)) return TooLargeError();
  return grpc::Status::OK;
}

void IncomingCall::OnReadDone(bool ok) {
  const ReactionOrder order(this);
  context_.watch.End(watch_, ok ? static_cast<int64_t>(message_.Length()) : 0);
  grpc::Status error = ok ? CheckMessage() : NoMessageError();
  bool gone = false;
  {
    MutexLock lock(mutex_);
    gone = gone_;
  }
  if (gone)
    error = lifetime_.IsLateNow() ? DeadlineExceededError("message") : CancelledError(/*by_shutdown=*/false);
  if (!error.ok()) return RefuseUnread(error);
  if (!EndReading()) return;
  GuardExceptions([&] { OnMessage(message_); }, [](const std::string& cause) { InternalError(cause); });
  {
    MutexLock lock(mutex_);
    handled_ = true;
    gone = gone_;
  }
  if (gone) GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
}

void IncomingCall::OnCancel() {
  const ReactionOrder order(this);
  bool handled = false;
  {
    MutexLock lock(mutex_);
    gone_ = true;
    handled = handled_;
  }
  if (handled) GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
}

void IncomingCall::OnDone() {
  const ReactionOrder order(this);
  bool handled = false;
  {
    MutexLock lock(mutex_);
    handled = handled_;
  }
  // In case that it failed before its work ended.
  if (handled) GuardExceptions([&] { Abandon(); }, [](const std::string&) {});
  lifetime_.RpcDone();
  message_.Clear();
  self_.reset();
}

}  // namespace kandinsky::server
