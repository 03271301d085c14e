#include "server/shutdown_signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace kandinsky {

ShutdownSignals::ShutdownSignals(std::function<void(int count)> on_signal) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this, on_signal = std::move(on_signal)] { Run(on_signal); });
}

ShutdownSignals::~ShutdownSignals() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  thread_.join();
  close(wake_fd_);
  close(signal_fd_);
}

void ShutdownSignals::Run(const std::function<void(int)>& on_signal) const {
  int count = 0;
  pollfd files[] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  while (poll(files, 2, -1) >= 0 || errno == EINTR) {
    if (files[1].revents != 0) return;
    if (files[0].revents == 0) continue;
    signalfd_siginfo info;
    if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) on_signal(++count);
  }
}

}  // namespace kandinsky
