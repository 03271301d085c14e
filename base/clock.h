#pragma once

#include "absl/time/time.h"
#include "base/mutex.h"

namespace kandinsky {

// Source of time for everything that waits or measures, so that tests move time instead of sleeping.
// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // Monotonic within the process; comparable with deadlines made from the same clock only.
  virtual absl::Time Now() const = 0;

  // Waits on `condition` (whose mutex is `mutex`) until it is notified or Now() reaches `deadline`. May wake
  // spuriously. absl::InfiniteFuture() waits for a notification only.
  virtual void WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) REQUIRES(mutex) = 0;

  // The process-wide real clock: wall-clock epoch at start, steady afterwards.
  static Clock& Real();
};

}  // namespace kandinsky
