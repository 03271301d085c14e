#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace spdlog {
class async_logger;
namespace details {
class thread_pool;
}
}  // namespace spdlog

namespace kandinsky {

// Texts for one file descriptor, written by a thread of its own: who has a text leaves it and goes on,
// whatever becomes of the other end (a pipe that nobody reads or that is closed, a full disk, a stopped
// terminal). What cannot be kept or written is lost and counted. Thread-safe.
class LogWriter {
 public:
  // Texts that wait for the thread; one more takes the place of the oldest.
  static constexpr size_t kCapacity = 4096;

  // `notice` makes the text that tells of lost ones; it follows the first text that can be written again.
  // `descriptor` stays open as long as this object.
  LogWriter(int descriptor, std::function<std::string(int64_t lost)> notice);

  // Waits until everything is written, however long that takes. A writer of the whole process is not
  // destroyed.
  ~LogWriter();

  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // `text` goes out as it is, whole lines as a rule. Never blocks, never throws.
  void Write(std::string_view text);

  // Waits until what was left before is written or lost, `limit` at most; whether it is.
  bool Flush(absl::Duration limit);

  // Texts lost so far.
  int64_t lost() const;

 private:
  class Sink;

  std::shared_ptr<Sink> sink_;
  std::shared_ptr<spdlog::async_logger> queue_;
  std::shared_ptr<spdlog::details::thread_pool> thread_;  // ends before what it uses
  std::atomic<int64_t> left_ = 0;                         // texts that Write got
};

}  // namespace kandinsky
