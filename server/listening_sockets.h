#pragma once

#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kandinsky::server {

// host and port of "host:port", "[IPv6]:port", and for every interface "*:port" or ":port". The host has no
// brackets, and is empty for every interface, which 0.0.0.0 and :: also mean, each with both families.
// INVALID_ARGUMENT with the rule for anything else.
struct HostPort {
  std::string host;
  int port = 0;  // 0 to 65535
};
absl::StatusOr<HostPort> ParseHostPort(const std::string& address);

// An address of the system's socket calls.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  int port() const;
  void set_port(int port);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  bool operator==(const SocketAddress& other) const;
};

// A TCP socket that listens.
class ListeningSocket {
 public:
  // Takes over an open descriptor.
  explicit ListeningSocket(int descriptor) : descriptor_(descriptor) {}
  ~ListeningSocket();
  ListeningSocket(ListeningSocket&& other) noexcept : descriptor_(other.Release()) {}
  ListeningSocket& operator=(ListeningSocket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  int descriptor() const { return descriptor_; }
  int port() const { return Address().port(); }
  SocketAddress Address() const;
  // Where this machine reaches it: its address, or the loopback interface when that is every one.
  SocketAddress ReachableAddress() const;
  // The descriptor, which its new owner closes.
  int Release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

// Listens on what the configuration's `field` says: one socket for each address that the host stands for, all
// with the same port; port 0 takes a free one. Non-blocking, closed on exec. UNAVAILABLE with field, address
// and the system's reason.
absl::StatusOr<std::vector<ListeningSocket>> Listen(const char* field, const std::string& address);

// Whether Listen can do so on this machine, but for ports that are in use now; INVALID_ARGUMENT as above,
// also when both addresses are the same. Either may be empty: not listened on.
absl::Status CheckListening(const std::string& listen_address, const std::string& metrics_address);

}  // namespace kandinsky::server
