#include "base/clock.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"

namespace kandinsky {
namespace {

class RealClock : public Clock {
 public:
  RealClock() : wall_start_(absl::Now()), steady_start_(std::chrono::steady_clock::now()) {}

  absl::Time Now() const override {
    return wall_start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
  }

  void WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) override REQUIRES(mutex) {
    const absl::Duration offset = deadline - wall_start_;
    if (offset > absl::Hours(24 * 365 * 100)) {  // More would not fit into 64 bits of nanoseconds.
      condition.Wait(mutex);
      return;
    }
    condition.WaitUntil(mutex, steady_start_ + absl::ToChronoNanoseconds(offset));
  }

 private:
  const absl::Time wall_start_;
  const std::chrono::steady_clock::time_point steady_start_;
};

}  // namespace

Clock& Clock::Real() {
  static RealClock* const clock = new RealClock;  // Never destroyed: threads may outlive static destructors.
  return *clock;
}

absl::Time FakeClock::Now() const {
  MutexLock lock(clock_mutex_);
  return now_;
}

void FakeClock::WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) {
  {
    MutexLock lock(clock_mutex_);
    if (now_ >= deadline) return;
    waiters_.push_back({&mutex, &condition});
  }
  // Advance() takes `mutex` before it notifies, so a move of the clock cannot slip in before this wait.
  condition.Wait(mutex);
  MutexLock lock(clock_mutex_);
  const auto mine = std::find_if(waiters_.begin(), waiters_.end(),
                                 [&](const Waiter& waiter) { return waiter.condition == &condition; });
  if (mine != waiters_.end()) waiters_.erase(mine);
}

void FakeClock::Advance(absl::Duration duration) {
  std::vector<Waiter> waiters;
  {
    MutexLock lock(clock_mutex_);
    now_ += duration;
    waiters = waiters_;
  }
  for (const Waiter& waiter : waiters) {
    MutexLock lock(*waiter.mutex);
    waiter.condition->NotifyAll();
  }
}

}  // namespace kandinsky
