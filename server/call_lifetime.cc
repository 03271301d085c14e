#include "server/call_lifetime.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/byte_reservation.h"
#include "server/call_metadata.h"
#include "server/error_details.h"
#include "server/exception_guard.h"

namespace kandinsky {
namespace {

// What a call gets on top of its deadline to write what is ready.
constexpr absl::Duration kWriteGrace = absl::Seconds(1);

}  // namespace

CallLifetime::CallLifetime(const CallContext& context, const char* method, grpc::CallbackServerContext& rpc)
    : live_call_(context.serving),
      context_(context),
      method_(method),
      rpc_(rpc),
      arrival_(context.clock.Now()) {
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
  {
    MutexLock lock(mutex_);
    if (std::exchange(concluded_, true)) return false;
  }
  GuardExceptions(
      [&] {
        const std::string reason = ErrorReason(status);
        const absl::Duration duration = context_.clock.Now() - arrival_;
        context_.metrics.RecordRequest(method_, StatusCodeName(status.error_code()), reason, duration);
        LogEnd(status, reason, facts, duration);
        MutexLock lock(mutex_);
        if (!rpc_done_) AddRetryPushback(status, rpc_);
      },
      [](const std::string&) {});
  return true;
}

void CallLifetime::RpcDone() {
  MutexLock lock(mutex_);
  rpc_done_ = true;
  message_.Resize(0);
  if (timer_ != 0) context_.timer.Cancel(timer_time_, timer_);
}

void CallLifetime::LogEnd(const grpc::Status& status, const std::string& reason, const CallFacts& facts,
                          absl::Duration duration) const {
  Log(LogLevel::kInfo, "request",
      {{"method", method_},
       {"code", StatusCodeName(status.error_code())},
       {"reason", reason},
       {"request_id", facts.request_id},
       {"duration_ms", absl::ToDoubleMilliseconds(duration)},
       {"queue_ms", absl::ToDoubleMilliseconds(facts.queued)},
       {"task", facts.task},
       {"size", facts.width == 0 ? "" : absl::StrCat(facts.width, "x", facts.height)},
       {"steps", int64_t{facts.steps}},
       {"images", int64_t{facts.results}}});
}

}  // namespace kandinsky
