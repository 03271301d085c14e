#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/listening_sockets.h"

namespace kandinsky::server {

// Accepts connections on a thread of its own. gRPC's own acceptor stops for good at the first accept that
// finds no free descriptor; this one refuses connections while descriptors are short, says so, and goes on.
// The last ones are left to files and to the metrics. Thread-safe.
class ConnectionAcceptor {
 public:
  // Takes over a connection (non-blocking, closed on exec) that was accepted by `listener`. Must not block.
  using Handler = std::function<void(int listener, int connection)>;

  ConnectionAcceptor(std::vector<ListeningSocket> sockets, Handler handler);
  ~ConnectionAcceptor() { Stop(); }

  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Accepts nothing any more and closes the sockets. Once, or by the destructor.
  void Stop();

  int64_t accepted() const { return accepted_; }
  int64_t refused() const { return refused_; }

 private:
  void Run();
  void AcceptOne(int listener);
  void RefuseOne(int listener);
  void Warn(const char* message, int descriptors, absl::Time& not_before) const;

  std::vector<ListeningSocket> sockets_;
  const Handler handler_;
  const int limit_;    // of descriptors
  int spare_;          // given up for the moment that it takes to refuse a connection
  const int wake_fd_;  // readable: stop
  absl::Time next_warning_ = absl::InfinitePast();
  absl::Time next_refusal_warning_ = absl::InfinitePast();
  std::atomic<int64_t> accepted_ = 0;
  std::atomic<int64_t> refused_ = 0;
  std::thread thread_;
};

}  // namespace kandinsky::server
