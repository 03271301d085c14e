#include "server/message_watch.h"

#include <memory>
#include <utility>
#include <vector>

namespace kandinsky::server {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(20);
// What a connection may send beside its messages: settings, pings and window updates, and headers of calls.
constexpr int64_t kOtherBytes = 1 << 20;
constexpr int64_t kHeaderBytes = 16 << 10;

// The most bytes on the wire of a message: frames and encryption add less than an eighth.
int64_t OnTheWire(int64_t bytes) { return bytes + bytes / 8 + kHeaderBytes; }

}  // namespace

MessageWatch::ReceivedBytes MessageWatch::OpenPeer(const std::string& peer) {
  return [socket = std::make_shared<PeerSocket>(peer)] { return socket->ReceivedBytes(); };
}

MessageWatch::Id MessageWatch::Begin(const std::string& peer, int64_t limit, std::function<void()> refuse) {
  MutexLock lock(mutex_);
  const Id id = ++last_id_;
  peers_[id] = peer;
  connections_[peer].unfinished[id] = {limit, std::move(refuse)};
  Arm();
  return id;
}

void MessageWatch::End(Id id, int64_t bytes) {
  Unfinished ended;  // destroyed after the lock
  MutexLock lock(mutex_);
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  const auto found = connections_.find(peer->second);
  peers_.erase(peer);
  Connection& connection = found->second;
  ended = std::move(connection.unfinished.at(id));
  connection.unfinished.erase(id);
  connection.finished_bytes += OnTheWire(bytes);
  if (connection.unfinished.empty()) connections_.erase(found);
}

void MessageWatch::Arm() {
  if (std::exchange(armed_, true)) return;
  timer_.At(clock_.Now() + kBetweenLooks, [this] { Look(); });
}

bool MessageWatch::IsAboveItsLimits(const std::string& peer, Connection& connection,
                                    const std::function<ReceivedBytes(const std::string&)>& open) {
  if (connection.received == nullptr) connection.received = open(peer);
  const std::optional<int64_t> received = connection.received();
  if (!received.has_value()) return false;
  if (!connection.before.has_value()) connection.before = received;
  int64_t most = kOtherBytes + connection.finished_bytes;
  for (const auto& [id, message] : connection.unfinished) most += OnTheWire(message.limit);
  return *received - *connection.before > most;
}

void MessageWatch::Look() {
  std::vector<std::function<void()>> refused;
  {
    MutexLock lock(mutex_);
    armed_ = false;
    for (auto& [peer, connection] : connections_) {
      if (!IsAboveItsLimits(peer, connection, open_)) continue;
      for (auto& [id, message] : connection.unfinished) {
        if (message.refuse != nullptr) refused.push_back(std::exchange(message.refuse, nullptr));
      }
    }
    if (!connections_.empty()) Arm();
  }
  for (const auto& refuse : refused) refuse();
}

}  // namespace kandinsky::server
