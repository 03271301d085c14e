#include "server/call_lifetime.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/byte_reservation.h"
#include "server/call_metadata.h"
#include "server/error_details.h"
#include "server/error_kinds.h"
#include "server/exception_guard.h"
#include "server/refusal_log.h"

namespace kandinsky::server {
namespace {

// What a call gets on top of its deadline to write what is ready.
constexpr absl::Duration kWriteGrace = absl::Seconds(1);

}  // namespace

CallLifetime::CallLifetime(const CallContext& context, const RpcMethod& method,
                           grpc::CallbackServerContext& rpc, LogLine line)
    : context_(context), method_(method), line_(line), rpc_(rpc), arrival_(context.clock.Now()) {
  if (line == LogLine::kWork) live_call_.emplace(context.serving);
  context.metrics.RecordStarted(method);
}

void CallLifetime::TakeDeadline() { deadline_ = DeadlineOf(rpc_, arrival_, context_.limits); }

grpc::Status CallLifetime::HoldMessage(int64_t bytes, const Engine& engine) {
  ByteBudget::Reservation share;
  grpc::Status status = ReserveBytes(context_, engine, bytes, /*held=*/0, share);
  MutexLock lock(mutex_);
  if (!rpc_done_) message_ = std::move(share);
  return status;
}

bool CallLifetime::IsLateNow() const { return IsLate(context_.clock.Now(), arrival_, deadline_); }

void CallLifetime::SetTimer(absl::Time time, std::function<void()> callback) {
  MutexLock lock(mutex_);
  if (rpc_done_) return;
  if (timer_ != 0) context_.timer.Cancel(timer_time_, timer_);
  timer_time_ = time;
  timer_ = context_.timer.At(time, std::move(callback));
}

void CallLifetime::LimitWriting(const std::weak_ptr<void>& call) {
  SetTimer(context_.clock.Now() + kWriteGrace, [this, call] {
    const std::shared_ptr<void> alive = call.lock();
    if (alive == nullptr) return;
    MutexLock lock(mutex_);
    if (!rpc_done_) rpc_.TryCancel();
  });
}

bool CallLifetime::Conclude(const grpc::Status& status, const CallFacts& facts) {
  const End end = {.code = status.error_code(), .reason = ErrorReason(status), .facts = facts};
  bool delivered = false;
  {
    MutexLock lock(mutex_);
    if (end_.has_value()) return false;
    end_ = end;
    if (!rpc_done_) {
      GuardExceptions([&] { AddRetryPushback(status, rpc_); }, [](const std::string&) {});
      return true;  // RpcDone records it
    }
    delivered = delivered_;
  }
  Record(end, delivered);
  return true;
}

void CallLifetime::RpcDone() {
  ++context_.counts.ended;
  End end;
  bool delivered = false;
  {
    MutexLock lock(mutex_);
    rpc_done_ = true;
    delivered_ = delivered = !rpc_.IsCancelled();
    message_.Resize(0);
    if (timer_ != 0) context_.timer.Cancel(timer_time_, timer_);
    if (!end_.has_value()) return;  // Conclude is under way
    end = *end_;
  }
  Record(std::move(end), delivered);
}

void CallLifetime::Record(End end, bool delivered) const {
  const bool own_end =
      end.code == grpc::StatusCode::CANCELLED || end.code == grpc::StatusCode::DEADLINE_EXCEEDED;
  if (!delivered && !own_end) {
    end.code = IsLateNow() ? grpc::StatusCode::DEADLINE_EXCEEDED : grpc::StatusCode::CANCELLED;
    end.reason = kNotDelivered;
  }
  GuardExceptions(
      [&] {
        const absl::Duration duration = context_.clock.Now() - arrival_;
        context_.metrics.RecordRequest(method_, StatusCodeName(end.code), end.reason, duration);
        if (end.facts.refused) {
          context_.refusals.Add(method_.name, StatusCodeName(end.code), end.reason);
        } else if (line_ == LogLine::kWork) {
          LogWork(end, duration);
        }
      },
      [](const std::string&) {});
}

void CallLifetime::LogWork(const End& end, absl::Duration duration) const {
  const CallFacts& facts = end.facts;
  Log(LogLevel::kInfo, "request",
      {{"method", method_.name},
       {"code", StatusCodeName(end.code)},
       {"reason", end.reason},
       {"request_id", facts.request_id},
       {"duration_ms", absl::ToDoubleMilliseconds(duration)},
       {"queue_ms", absl::ToDoubleMilliseconds(facts.queued)},
       {"task", facts.task},
       {"size", facts.width == 0 ? "" : absl::StrCat(facts.width, "x", facts.height)},
       {"steps", int64_t{facts.steps}},
       {"images", int64_t{facts.results}}});
}

}  // namespace kandinsky::server
