#include "server/refusal_log.h"

#include <utility>

#include "base/logging.h"

namespace kandinsky::server {
namespace {

constexpr absl::Duration kBetweenLines = absl::Seconds(10);

}  // namespace

void RefusalLog::Add(const char* method, const char* code, const std::string& reason, int64_t calls) {
  int64_t told = 0;
  {
    MutexLock lock(mutex_);
    untold_ += calls;
    const absl::Time now = clock_.Now();
    if (now < next_) return;
    next_ = now + kBetweenLines;
    told = std::exchange(untold_, 0);
    ++lines_;
  }
  Log(LogLevel::kWarning, "calls refused",
      {{"calls", told}, {"last_method", method}, {"last_code", code}, {"last_reason", reason}});
}

int64_t RefusalLog::lines() const {
  MutexLock lock(mutex_);
  return lines_;
}

int64_t RefusalLog::untold() const {
  MutexLock lock(mutex_);
  return untold_;
}

}  // namespace kandinsky::server
