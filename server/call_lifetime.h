#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "pipeline/generation_request.h"
#include "server/call_context.h"
#include "server/rpc_method.h"

namespace kandinsky::server {

// What a log line tells about a call that asked for work.
struct CallFacts {
  std::string request_id = {};
  std::string task = {};  // "": it did not come as far as that
  int width = 0;          // pixels; 0: none
  int height = 0;
  int steps = 0;
  int results = 0;  // images or embeddings
  absl::Duration queued = absl::ZeroDuration();
  bool refused = false;  // before its message was there: in the log one line stands for many such calls
};

// The frame of a call: when it came, when it has to be over, and that its end is counted and logged exactly
// once, as the client saw it. An end that could not be delivered counts as CANCELLED, or DEADLINE_EXCEEDED
// when that had passed, with the reason NOT_DELIVERED. Thread-safe.
class CallLifetime {
 public:
  // Which calls get a log line of their own.
  enum class LogLine { kNone, kWork };

  // `rpc` lives until RpcDone.
  CallLifetime(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
               LogLine line = LogLine::kNone);

  absl::Time arrival() const { return arrival_; }

  // The call's own deadline; InfiniteFuture until TakeDeadline has read it.
  absl::Time deadline() const { return deadline_; }
  // Once, before other threads know the call.
  void TakeDeadline();

  // Reserves the bytes of the call's message, which gRPC keeps as long as the RPC lasts; once.
  // BYTES_IN_FLIGHT when there is no room.
  grpc::Status HoldMessage(int64_t bytes, const Engine& engine) EXCLUDES(mutex_);

  // Whether a call that is cancelled now is so because its deadline has passed.
  bool IsLateNow() const;

  // Runs `callback` at `time`, unless the RPC is over by then; replaces the timer before. It must not keep
  // the call alive.
  void SetTimer(absl::Time time, std::function<void()> callback) EXCLUDES(mutex_);

  // Gives the client a moment to take what is ready, then breaks the RPC.
  void LimitWriting(const std::weak_ptr<void>& call) EXCLUDES(mutex_);

  // How the call ends; to be sent if this is the first end, false if not. Counted and logged when the RPC is
  // over as well.
  bool Conclude(const grpc::Status& status, const CallFacts& facts) EXCLUDES(mutex_);

  // The RPC is over: gRPC has sent the end, or can not any more.
  void RpcDone() EXCLUDES(mutex_);

 private:
  struct End {
    grpc::StatusCode code = grpc::StatusCode::OK;
    std::string reason = {};
    CallFacts facts = {};
  };

  // Counts and logs the end of an RPC that is over.
  void Record(End end, bool delivered) const;
  void LogWork(const End& end, absl::Duration duration) const;

  // First, so that it goes last: whoever waits for the call may destroy what all the rest uses.
  std::optional<ServingState::LiveCall> live_call_;  // of a call that asks for work
  const CallContext context_;
  const RpcMethod method_;
  const LogLine line_;
  grpc::CallbackServerContext& rpc_;
  const absl::Time arrival_;
  absl::Time deadline_ = absl::InfiniteFuture();

  mutable Mutex mutex_;
  std::optional<End> end_ GUARDED_BY(mutex_);
  bool rpc_done_ GUARDED_BY(mutex_) = false;
  bool delivered_ GUARDED_BY(mutex_) = false;           // when rpc_done_
  ByteBudget::Reservation message_ GUARDED_BY(mutex_);  // until the RPC is over
  absl::Time timer_time_ GUARDED_BY(mutex_);
  Timer::Id timer_ GUARDED_BY(mutex_) = 0;  // 0: none
};

}  // namespace kandinsky::server
