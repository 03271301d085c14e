#include "base/executor.h"

#include <pthread.h>

#include <utility>

namespace kandinsky {

Executor::Executor(const std::string& name, int threads, size_t capacity) : capacity_(capacity) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, thread_name = name + "-" + std::to_string(i)] { Run(thread_name); });
  }
}

Executor::~Executor() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  has_task_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

bool Executor::TrySchedule(Task task) {
  {
    MutexLock lock(mutex_);
    if (finishing_.size() + beginning_.size() >= capacity_) return false;
    beginning_.push_back(std::move(task));
  }
  has_task_.NotifyOne();
  return true;
}

void Executor::ScheduleNext(Task task) {
  {
    MutexLock lock(mutex_);
    beginning_.push_back(std::move(task));
  }
  has_task_.NotifyOne();
}

void Executor::Schedule(Task task) {
  {
    MutexLock lock(mutex_);
    finishing_.push_back(std::move(task));
  }
  has_task_.NotifyOne();
}

size_t Executor::queued() const {
  MutexLock lock(mutex_);
  return finishing_.size() + beginning_.size();
}

void Executor::Run(const std::string& thread_name) {
  pthread_setname_np(pthread_self(), thread_name.substr(0, 15).c_str());
  while (true) {
    Task task;
    {
      MutexLock lock(mutex_);
      while (finishing_.empty() && beginning_.empty() && !stopping_) has_task_.Wait(mutex_);
      std::deque<Task>& tasks = finishing_.empty() ? beginning_ : finishing_;
      if (tasks.empty()) return;
      task = std::move(tasks.front());
      tasks.pop_front();
    }
    task();
  }
}

}  // namespace kandinsky
