#include "tests/fakes/fake_clock.h"

#include <algorithm>

namespace kandinsky {

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
