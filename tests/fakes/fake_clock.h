#pragma once

#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace kandinsky {

// A clock that stands still until Advance is called.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::UnixEpoch() + absl::Hours(1)) : now_(start) {}

  absl::Time Now() const override EXCLUDES(clock_mutex_);
  void WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) override REQUIRES(mutex);

  // Moves time forward and wakes every waiter, which then looks at its deadline again.
  void Advance(absl::Duration duration) EXCLUDES(clock_mutex_);

 private:
  struct Waiter {
    Mutex* mutex;
    ConditionVariable* condition;
  };

  mutable Mutex clock_mutex_;
  absl::Time now_ GUARDED_BY(clock_mutex_);
  std::vector<Waiter> waiters_ GUARDED_BY(clock_mutex_);
};

}  // namespace kandinsky
