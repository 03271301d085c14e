#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace kandinsky::server {

// Runs callbacks at given times on one thread of its own. Thread-safe.
class Timer {
 public:
  // Names a callback that was set; never used again.
  using Id = uint64_t;

  explicit Timer(Clock& clock);

  ~Timer() { Stop(); }

  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs `callback` once, at `time` or soon after, without a lock held. It must neither block nor throw.
  Id At(absl::Time time, std::function<void()> callback) EXCLUDES(mutex_);

  // Drops the callbacks that have not begun, waits for one that runs, and runs none any more.
  void Stop() EXCLUDES(mutex_);

  // Drops a callback, unless it has begun: then this does not wait for its end. `time` is what At got.
  void Cancel(absl::Time time, Id id) EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);

  Clock& clock_;
  Mutex mutex_;
  ConditionVariable changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  Id last_id_ GUARDED_BY(mutex_) = 0;
  std::map<std::pair<absl::Time, Id>, std::function<void()>> callbacks_ GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace kandinsky::server
