#include "pipeline/components/read_ahead.h"

#include <utility>

namespace kandinsky {

ReadAhead::ReadAhead(std::vector<Part> parts, int64_t max_bytes)
    : parts_(std::move(parts)), max_bytes_(max_bytes), thread_([this] { Run(); }) {}

ReadAhead::~ReadAhead() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void ReadAhead::Use(int64_t bytes) {
  const MutexLock lock(mutex_);
  used_ += bytes;
  changed_.NotifyAll();
}

void ReadAhead::Run() {
  int64_t read = 0;
  for (const Part& part : parts_) {
    read += part.bytes;
    {
      const MutexLock lock(mutex_);
      while (!stopped_ && read - used_ > max_bytes_ && read - part.bytes > used_) changed_.Wait(mutex_);
      if (stopped_) return;
      // Whoever uses a part has it read.
      if (used_ >= read) continue;
    }
    part.read();
  }
}

}  // namespace kandinsky
