#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace kandinsky::server {

// Tells the operator of calls that were refused before their work began, without letting strangers fill the
// log: the first at once, then at most one line in ten seconds, with how many it stands for. Thread-safe.
class RefusalLog {
 public:
  explicit RefusalLog(Clock& clock) : clock_(clock) {}

  // `calls` > 0 calls of `method` were refused; `code` and `reason` as in Metrics::RecordRequest.
  void Add(const char* method, const char* code, const std::string& reason, int64_t calls = 1)
      EXCLUDES(mutex_);

  // Lines that were written, and calls since the last one.
  int64_t lines() const EXCLUDES(mutex_);
  int64_t untold() const EXCLUDES(mutex_);

 private:
  Clock& clock_;
  mutable Mutex mutex_;
  absl::Time next_ GUARDED_BY(mutex_) = absl::InfinitePast();
  int64_t untold_ GUARDED_BY(mutex_) = 0;  // calls since the last line
  int64_t lines_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kandinsky::server
