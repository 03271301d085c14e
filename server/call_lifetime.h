#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "pipeline/generation_request.h"
#include "server/call_context.h"

namespace kandinsky {

// What a log line tells about a call that asked for work.
struct CallFacts {
  std::string request_id = {};
  std::string task = {};  // "": it did not come as far as that
  int width = 0;          // pixels; 0: none
  int height = 0;
  int steps = 0;
  int results = 0;  // images or embeddings
  absl::Duration queued = absl::ZeroDuration();
};

// The frame of a call that asks for work: when it came, when it has to be over, and that its end is counted
// and logged exactly once. Thread-safe.
class CallLifetime {
 public:
  // `method` is the RPC's name, for metrics and logs; it must be a literal. `rpc` lives until RpcDone.
  CallLifetime(const CallContext& context, const char* method, grpc::CallbackServerContext& rpc);

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

  // Counts and logs the end; false when that was done before.
  bool Conclude(const grpc::Status& status, const CallFacts& facts) EXCLUDES(mutex_);

  void RpcDone() EXCLUDES(mutex_);

 private:
  void LogEnd(const grpc::Status& status, const std::string& reason, const CallFacts& facts,
              absl::Duration duration) const;

  // First, so that it goes last: whoever waits for the call may destroy what all the rest uses.
  const ServingState::LiveCall live_call_;
  const CallContext context_;
  const char* const method_;
  grpc::CallbackServerContext& rpc_;
  const absl::Time arrival_;
  absl::Time deadline_ = absl::InfiniteFuture();

  Mutex mutex_;
  bool concluded_ GUARDED_BY(mutex_) = false;
  bool rpc_done_ GUARDED_BY(mutex_) = false;
  ByteBudget::Reservation message_ GUARDED_BY(mutex_);  // until the RPC is over
  absl::Time timer_time_ GUARDED_BY(mutex_);
  Timer::Id timer_ GUARDED_BY(mutex_) = 0;  // 0: none
};

}  // namespace kandinsky
