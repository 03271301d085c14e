#pragma once

#include <functional>
#include <thread>

#include "absl/time/time.h"
#include "server/listening_sockets.h"

namespace kandinsky::server {

// Calls the server's own port from time to time, as a client would: a process that takes connections and
// answers none looks healthy to whoever does not call it. Runs on a thread of its own.
class ListenerProbe {
 public:
  struct Options {
    absl::Duration interval = absl::Seconds(10);  // between the end of a call and the next
    absl::Duration patience = absl::Seconds(10);  // how long the answer's first byte may take
    int failures = 3;                             // in a row
  };

  // `on_deaf` is called once, from the probe's thread, after `failures` calls of `address` in a row without
  // an answer. A connection that is closed is an answer; a call that cannot be made for want of a descriptor
  // or of memory says nothing.
  ListenerProbe(const SocketAddress& address, std::function<void()> on_deaf, Options options);
  // Stops calling.
  ~ListenerProbe();

  ListenerProbe(const ListenerProbe&) = delete;
  ListenerProbe& operator=(const ListenerProbe&) = delete;

 private:
  enum class Outcome { kAnswered, kSilent, kUnknown, kStopped };

  void Run();
  Outcome Call() const;
  // Waits until `descriptor` (-1: none) has one of `events`.
  Outcome Wait(int descriptor, short events, absl::Duration limit) const;

  const SocketAddress address_;
  const std::function<void()> on_deaf_;
  const Options options_;
  const int stop_fd_;  // readable: stop
  std::thread thread_;
};

}  // namespace kandinsky::server
