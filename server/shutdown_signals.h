#pragma once

#include <functional>
#include <thread>

namespace kandinsky {

// Turns SIGTERM and SIGINT into calls on a thread of its own, and ignores SIGPIPE. Make it before any other
// thread starts: it blocks the signals in the calling thread, and threads inherit that. One per process.
class ShutdownSignals {
 public:
  // `on_signal` gets 1 for the first signal, 2 for the second, ...
  explicit ShutdownSignals(std::function<void(int count)> on_signal);
  ~ShutdownSignals();

  ShutdownSignals(const ShutdownSignals&) = delete;
  ShutdownSignals& operator=(const ShutdownSignals&) = delete;

 private:
  void Run(const std::function<void(int)>& on_signal) const;

  int wake_fd_ = -1;
  int signal_fd_ = -1;
  std::thread thread_;
};

}  // namespace kandinsky
