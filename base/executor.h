#pragma once

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/mutex.h"

namespace kandinsky {

// A fixed number of threads that run tasks from two first-in first-out queues: what finishes work goes before
// what begins it. Thread-safe.
class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // `threads` >= 1. From `capacity` waiting tasks on (running ones excluded) TrySchedule refuses more.
  Executor(const std::string& name, int threads, size_t capacity);

  // Runs every task that was accepted, then joins.
  ~Executor();

  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Takes a task that begins something. Never blocks. Returns false, without taking the task, when `capacity`
  // tasks of both kinds wait. Tasks must not throw.
  [[nodiscard]] bool TrySchedule(Task task) EXCLUDES(mutex_);

  // The same for the next part of such a task: behind the others, however many wait.
  void ScheduleNext(Task task) EXCLUDES(mutex_);

  // Takes a task that finishes something, before all of the other kind. Never blocks, and takes it however
  // many wait: for tasks whose number something else bounds.
  void Schedule(Task task) EXCLUDES(mutex_);

  // Tasks that wait now.
  size_t queued() const EXCLUDES(mutex_);

 private:
  void Run(const std::string& thread_name) EXCLUDES(mutex_);

  const size_t capacity_;
  mutable Mutex mutex_;
  ConditionVariable has_task_;
  std::deque<Task> finishing_ GUARDED_BY(mutex_);
  std::deque<Task> beginning_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace kandinsky
