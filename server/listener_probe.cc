#include "server/listener_probe.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/cleanup/cleanup.h"

namespace kandinsky::server {
namespace {

// What an HTTP/2 client says first (RFC 9113, 3.4): the preface, and a SETTINGS frame without settings.
constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
constexpr size_t kPrefaceBytes = sizeof(kPreface);  // the last byte of the frame is the literal's own zero

}  // namespace

ListenerProbe::ListenerProbe(const SocketAddress& address, std::function<void()> on_deaf, Options options)
    : address_(address),
      on_deaf_(std::move(on_deaf)),
      options_(options),
      stop_fd_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

ListenerProbe::~ListenerProbe() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_fd_, &one, sizeof(one));
  thread_.join();
  close(stop_fd_);
}

void ListenerProbe::Run() {
  int silent = 0;
  while (Wait(-1, 0, options_.interval) != Outcome::kStopped) {
    switch (Call()) {
      case Outcome::kAnswered:
        silent = 0;
        break;
      case Outcome::kSilent:
        if (++silent == options_.failures) {
          on_deaf_();
          return;
        }
        break;
      case Outcome::kUnknown:
        break;
      case Outcome::kStopped:
        return;
    }
  }
}

ListenerProbe::Outcome ListenerProbe::Call() const {
  const int descriptor = socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Outcome::kUnknown;
  const absl::Cleanup closer = [descriptor] { close(descriptor); };
  if (connect(descriptor, address_.get(), address_.length) != 0) {
    if (errno == ECONNREFUSED) return Outcome::kSilent;
    if (errno != EINPROGRESS) return Outcome::kUnknown;
    const Outcome connected = Wait(descriptor, POLLOUT, options_.patience);
    if (connected != Outcome::kAnswered) return connected;
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return error == ECONNREFUSED ? Outcome::kSilent : Outcome::kUnknown;
  }
  if (send(descriptor, kPreface, kPrefaceBytes, MSG_NOSIGNAL) < 0) return Outcome::kAnswered;  // closed
  return Wait(descriptor, POLLIN, options_.patience);
}

ListenerProbe::Outcome ListenerProbe::Wait(int descriptor, short events, absl::Duration limit) const {
  pollfd files[] = {{stop_fd_, POLLIN, 0}, {descriptor, events, 0}};
  int ready = 0;
  while ((ready = poll(files, 2, static_cast<int>(absl::ToInt64Milliseconds(limit)))) < 0 && errno == EINTR) {
  }
  if (files[0].revents != 0) return Outcome::kStopped;
  return ready > 0 ? Outcome::kAnswered : Outcome::kSilent;
}

}  // namespace kandinsky::server
