#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "server/peer_socket.h"
#include "server/timer.h"

namespace kandinsky::server {

// Bounds what a connection sends before its messages are complete. gRPC looks at the size of a message when
// it is there as a whole, and lets a client send whatever length the message declares, up to 4 GiB. This
// compares, fifty times a second while a connection has unfinished messages, what the kernel has received on
// it with the most that its messages may have; on a connection that is above that, every unfinished message
// is refused. So a connection holds at most the limits of its unfinished messages and what arrives in two
// looks. Thread-safe.
class MessageWatch {
 public:
  using Id = uint64_t;
  using ReceivedBytes = std::function<std::optional<int64_t>()>;

  // `timer` runs by `clock` and outlives this; stop it before. `open` makes what tells the bytes of a peer;
  // for tests.
  MessageWatch(Timer& timer, Clock& clock) : MessageWatch(timer, clock, OpenPeer) {}
  MessageWatch(Timer& timer, Clock& clock, std::function<ReceivedBytes(const std::string& peer)> open)
      : timer_(timer), clock_(clock), open_(std::move(open)) {}

  // A message of at most `limit` bytes begins to come from `peer`. `refuse` is called at most once, from the
  // timer's thread, and no more after End has returned unless it runs.
  Id Begin(const std::string& peer, int64_t limit, std::function<void()> refuse) EXCLUDES(mutex_);

  // The message is there with `bytes`, or does not come any more.
  void End(Id id, int64_t bytes) EXCLUDES(mutex_);

 private:
  struct Unfinished {
    int64_t limit = 0;
    std::function<void()> refuse;
  };
  // A peer with unfinished messages.
  struct Connection {
    std::map<Id, Unfinished> unfinished;
    ReceivedBytes received = nullptr;    // set by the first look
    std::optional<int64_t> before = {};  // received bytes then
    int64_t finished_bytes = 0;          // most that has come since, with other messages
  };

  static ReceivedBytes OpenPeer(const std::string& peer);
  void Arm() REQUIRES(mutex_);
  void Look() EXCLUDES(mutex_);
  static bool IsAboveItsLimits(const std::string& peer, Connection& connection,
                               const std::function<ReceivedBytes(const std::string&)>& open);

  Timer& timer_;
  Clock& clock_;
  const std::function<ReceivedBytes(const std::string&)> open_;
  Mutex mutex_;
  Id last_id_ GUARDED_BY(mutex_) = 0;
  bool armed_ GUARDED_BY(mutex_) = false;
  std::map<Id, std::string> peers_ GUARDED_BY(mutex_);
  std::map<std::string, Connection> connections_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
