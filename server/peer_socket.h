#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace kandinsky::server {

// The connection of a peer as this process holds it, for what gRPC does not tell: how much has come in. Not
// thread-safe.
class PeerSocket {
 public:
  // `peer` as gRPC writes it: "ipv4:127.0.0.1:4711" or "ipv6:%5B::1%5D:4711".
  explicit PeerSocket(std::string peer) : peer_(std::move(peer)) {}

  // Bytes that the kernel has received from the peer since it connected. Nothing when the connection is gone,
  // no TCP, or the kernel does not count (Linux before 4.1). The first call looks through the descriptors of
  // the process.
  std::optional<int64_t> ReceivedBytes();

 private:
  const std::string peer_;
  int descriptor_ = -1;  // gRPC's; it may close it at any time, and another may get the number
  bool gone_ = false;    // or never there: it is not looked for again
};

}  // namespace kandinsky::server
