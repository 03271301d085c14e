#pragma once

#include <functional>
#include <thread>

namespace kandinsky::server {

// Turns signals into calls on a thread of its own, so that none ends the process by itself: SIGTERM and
// SIGINT ask for an end, every other one that would end a process is told about. SIGPIPE is ignored. What the
// kernel sends for a fault of the program (SIGSEGV, SIGABRT, ...) and what stops and continues it keep their
// effects. Make it before any other thread starts: it blocks the signals in the calling thread, and threads
// inherit that. One per process.
class ProcessSignals {
 public:
  // `on_stop` gets 1 for the first SIGTERM or SIGINT, 2 for the second, ...; `on_other` the signal's number.
  ProcessSignals(std::function<void(int count)> on_stop, std::function<void(int signal)> on_other);
  ~ProcessSignals();

  ProcessSignals(const ProcessSignals&) = delete;
  ProcessSignals& operator=(const ProcessSignals&) = delete;

 private:
  void Run() const;

  const std::function<void(int)> on_stop_;
  const std::function<void(int)> on_other_;
  int wake_fd_ = -1;
  int signal_fd_ = -1;
  std::thread thread_;
};

}  // namespace kandinsky::server
