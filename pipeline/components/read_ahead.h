#pragma once

#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace kandinsky {

// A thread that reads parts of files into the page cache shortly before others need them. Thread-safe.
class ReadAhead {
 public:
  // A part of a file: what reads it, and its bytes.
  struct Part {
    std::function<void()> read;
    int64_t bytes = 0;
  };

  // Reads the parts in their order, at most `max_bytes` (or one part) more than what is used.
  ReadAhead(std::vector<Part> parts, int64_t max_bytes);
  // Stops after the part that is being read.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Tells that so many more bytes are used. Parts may be used in any order, also before they are read.
  void Use(int64_t bytes) EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);

  const std::vector<Part> parts_;
  const int64_t max_bytes_;
  Mutex mutex_;
  ConditionVariable changed_;
  int64_t used_ GUARDED_BY(mutex_) = 0;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace kandinsky
