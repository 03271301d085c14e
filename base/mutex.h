#pragma once

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

// Clang's thread-safety attributes; nothing with other compilers.
#if defined(__clang__)
#define KANDINSKY_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define KANDINSKY_THREAD_ATTRIBUTE(x)
#endif
// Older abseil defines these two in the same meaning.
#undef GUARDED_BY
#undef NO_THREAD_SAFETY_ANALYSIS
#define CAPABILITY(x) KANDINSKY_THREAD_ATTRIBUTE(capability(x))
#define SCOPED_CAPABILITY KANDINSKY_THREAD_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(x) KANDINSKY_THREAD_ATTRIBUTE(guarded_by(x))
#define REQUIRES(...) KANDINSKY_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) KANDINSKY_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) KANDINSKY_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define EXCLUDES(...) KANDINSKY_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS KANDINSKY_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace kandinsky {

// std::mutex with thread-safety annotations. absl::Mutex is not used: the distribution's abseil is not built
// with ThreadSanitizer, so TSan cannot see its synchronization and reports races that do not exist.
class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }
  // For std::unique_lock inside ConditionVariable; everything else uses MutexLock.
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

// Holds a Mutex for a scope.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// std::condition_variable over Mutex. Waits may wake spuriously: callers loop over their condition.
class ConditionVariable {
 public:
  void Wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // Returns false when `deadline` passed before a notification.
  template <typename Clock, typename Duration>
  bool WaitUntil(Mutex& mutex, std::chrono::time_point<Clock, Duration> deadline) REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.native(), std::adopt_lock);
    const bool notified = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace kandinsky
