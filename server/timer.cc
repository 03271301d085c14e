#include "server/timer.h"

namespace kandinsky::server {

Timer::Timer(Clock& clock) : clock_(clock), thread_([this] { Run(); }) {}

void Timer::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

Timer::Id Timer::At(absl::Time time, std::function<void()> callback) {
  MutexLock lock(mutex_);
  const Id id = ++last_id_;
  const auto added = callbacks_.emplace(std::pair(time, id), std::move(callback)).first;
  if (added == callbacks_.begin()) changed_.NotifyAll();
  return id;
}

void Timer::Cancel(absl::Time time, Id id) {
  std::function<void()> dropped;  // destroyed after the lock: it may own the last reference to something
  MutexLock lock(mutex_);
  const auto found = callbacks_.find({time, id});
  if (found == callbacks_.end()) return;
  dropped = std::move(found->second);
  callbacks_.erase(found);
}

void Timer::Run() {
  for (;;) {
    std::function<void()> due;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && (callbacks_.empty() || callbacks_.begin()->first.first > clock_.Now())) {
        const absl::Time next = callbacks_.empty() ? absl::InfiniteFuture() : callbacks_.begin()->first.first;
        clock_.WaitUntil(mutex_, changed_, next);
      }
      if (stopping_) return;
      due = std::move(callbacks_.begin()->second);
      callbacks_.erase(callbacks_.begin());
    }
    due();
  }
}

}  // namespace kandinsky::server
