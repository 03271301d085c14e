#include "server/connection_acceptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/clock.h"
#include "base/logging.h"

namespace kandinsky::server {
namespace {

constexpr absl::Duration kWarningPause = absl::Minutes(1);
constexpr int kErrorPauseMs = 100;

int DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return INT_MAX;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT_MAX));
}

// Descriptors that connections leave to everything else.
int Reserve(int limit) { return std::clamp(limit / 8, 4, 256); }

int OpenSpare() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

ConnectionAcceptor::ConnectionAcceptor(std::vector<ListeningSocket> sockets, Handler handler)
    : sockets_(std::move(sockets)),
      handler_(std::move(handler)),
      limit_(DescriptorLimit()),
      spare_(OpenSpare()),
      wake_fd_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

void ConnectionAcceptor::Stop() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  thread_.join();
  sockets_.clear();
  close(wake_fd_);
  if (spare_ >= 0) close(spare_);
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> files = {{wake_fd_, POLLIN, 0}};
  for (const ListeningSocket& socket : sockets_) files.push_back({socket.descriptor(), POLLIN, 0});
  for (;;) {
    if (poll(files.data(), files.size(), -1) < 0) continue;
    if (files.front().revents != 0) return;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].revents != 0) AcceptOne(files[i].fd);
    }
  }
}

void ConnectionAcceptor::AcceptOne(int listener) {
  const int connection = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (connection < 0) {
    if (errno == EMFILE || errno == ENFILE) {
      RefuseOne(listener);
    } else if (errno == ENOBUFS || errno == ENOMEM) {
      poll(nullptr, 0, kErrorPauseMs);  // the connection is still there
    }
    return;  // or it is gone
  }
  // The kernel gives the lowest free number, so it tells how many descriptors are in use.
  if (connection >= limit_ - Reserve(limit_)) {
    close(connection);
    ++refused_;
    Warn("connections are refused: file descriptors are short", connection, next_refusal_warning_);
    return;
  }
  if (connection >= limit_ - 2 * Reserve(limit_))
    Warn("file descriptors are running short", connection, next_warning_);
  ++accepted_;
  handler_(listener, connection);
}

void ConnectionAcceptor::RefuseOne(int listener) {
  if (spare_ >= 0) close(spare_);
  const int connection = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection >= 0) {
    close(connection);
    ++refused_;
  }
  spare_ = OpenSpare();
  Warn("connections are refused: there is no file descriptor", limit_, next_refusal_warning_);
  if (connection < 0) poll(nullptr, 0, kErrorPauseMs);
}

void ConnectionAcceptor::Warn(const char* message, int descriptors, absl::Time& not_before) const {
  const absl::Time now = Clock::Real().Now();
  if (now < not_before) return;
  not_before = now + kWarningPause;
  Log(LogLevel::kWarning, message, {{"open", int64_t{descriptors}}, {"limit", int64_t{limit_}}});
}

}  // namespace kandinsky::server
