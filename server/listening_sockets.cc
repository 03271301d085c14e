#include "server/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace kandinsky::server {
namespace {

using SocketAddresses = std::vector<SocketAddress>;

absl::Status CannotListen(const char* field, const std::string& address, const std::string& reason) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", field, " ", address, ": ", reason));
}

std::string ReasonOf(int error) { return std::system_category().message(error); }

template <typename Address>
SocketAddress Packed(const Address& address) {
  SocketAddress packed;
  std::memcpy(&packed.storage, &address, sizeof(address));
  packed.length = sizeof(address);
  return packed;
}

SocketAddress Ipv6(const in6_addr& host) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = host;
  return Packed(address);
}

SocketAddress Ipv4(in_addr_t host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  return Packed(address);
}

// IPv6's, which serves IPv4 too, and IPv4's for machines that have no other.
SocketAddresses EveryInterface() { return {Ipv6(in6addr_any), Ipv4(INADDR_ANY)}; }

bool IsEveryInterface(SocketAddress address) {
  address.set_port(0);
  const SocketAddresses every = EveryInterface();
  return std::find(every.begin(), every.end(), address) != every.end();
}

// The addresses of a name or number, without duplicates; the error is the reason.
absl::StatusOr<SocketAddresses> Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) return absl::NotFoundError(error == EAI_SYSTEM ? ReasonOf(errno) : gai_strerror(error));
  SocketAddresses addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
      addresses.push_back(address);
    }
  }
  freeaddrinfo(found);
  return addresses;
}

// A bound socket; -1 and errno when that cannot be had.
int Bind(const SocketAddress& address) {
  const int descriptor = socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  const int on = 1, off = 0;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // connections inherit it
  if (address.family() == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  }
  if (bind(descriptor, address.get(), address.length) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

// What one address of the configuration came to.
struct Bound {
  SocketAddresses addresses;  // that it stands for
  std::vector<ListeningSocket> sockets;
  int error = 0;  // of an address that could not be bound, but for those of a family that the machine has not
};

absl::StatusOr<Bound> BindAll(const char* field, const std::string& address) {
  ASSIGN_OR_RETURN(const HostPort parsed, ParseHostPort(address));
  Bound bound;
  if (parsed.host.empty()) {
    bound.addresses = EveryInterface();
  } else {
    auto found = Resolve(parsed.host);
    if (!found.ok()) return CannotListen(field, address, std::string(found.status().message()));
    bound.addresses = *std::move(found);
  }
  int missing = 0;
  for (SocketAddress& each : bound.addresses) {
    each.set_port(bound.sockets.empty() ? parsed.port : bound.sockets.front().port());
    const int descriptor = Bind(each);
    if (descriptor >= 0) {
      bound.sockets.emplace_back(descriptor);
      if (parsed.host.empty()) return bound;
    } else if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) {
      missing = errno;
    } else {
      bound.error = errno;
      return bound;
    }
  }
  if (bound.sockets.empty()) bound.error = missing;
  return bound;
}

bool Overlap(const SocketAddress& a, const SocketAddress& b) {
  return a.port() != 0 && a.port() == b.port() && (a == b || IsEveryInterface(a) || IsEveryInterface(b));
}

absl::StatusOr<SocketAddresses> CheckOne(const char* field, const std::string& address) {
  if (address.empty()) return SocketAddresses();
  const auto bound = BindAll(field, address);
  if (!bound.ok()) return absl::InvalidArgumentError(bound.status().message());
  if (bound->error != 0 && bound->error != EADDRINUSE) {
    return absl::InvalidArgumentError(CannotListen(field, address, ReasonOf(bound->error)).message());
  }
  return bound->addresses;
}

}  // namespace

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  if (absl::StartsWith(address, "unix:") || absl::StartsWith(address, "unix-abstract:")) {
    return absl::InvalidArgumentError("must be host:port, sockets in the file system are not supported");
  }
  const size_t colon = address.rfind(':');
  const std::string digits = colon == std::string::npos ? "" : address.substr(colon + 1);
  HostPort parsed;
  if (digits.empty() || digits.size() > 5 ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &parsed.port) || parsed.port > 65535) {
    return absl::InvalidArgumentError("must be host:port with a port of 0 to 65535");
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!absl::StrContains(host, ':')) {
      return absl::InvalidArgumentError("must have an IPv6 address between its brackets");
    }
  } else if (absl::StrContains(host, ':')) {
    return absl::InvalidArgumentError("must have brackets around an IPv6 address, as in [::1]:50051");
  }
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  });
  const bool every = host == "*" || host == "0.0.0.0" || host == "::";
  if (!plain && !every) return absl::InvalidArgumentError("must have a host name or an IP address as host");
  if (!every) parsed.host = std::move(host);
  return parsed;
}

int SocketAddress::port() const {
  return ntohs(family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(storage).sin6_port
                                    : reinterpret_cast<const sockaddr_in&>(storage).sin_port);
}

void SocketAddress::set_port(int port) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(storage).sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in&>(storage).sin_port = number;
  }
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length == other.length && std::memcmp(&storage, &other.storage, length) == 0;
}

ListeningSocket::~ListeningSocket() {
  if (descriptor_ >= 0) close(descriptor_);
}

SocketAddress ListeningSocket::Address() const {
  SocketAddress address;
  address.length = sizeof(address.storage);
  getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return address;
}

SocketAddress ListeningSocket::ReachableAddress() const {
  const SocketAddress own = Address();
  if (!IsEveryInterface(own)) return own;
  SocketAddress loopback = own.family() == AF_INET6 ? Ipv6(in6addr_loopback) : Ipv4(INADDR_LOOPBACK);
  loopback.set_port(own.port());
  return loopback;
}

absl::StatusOr<std::vector<ListeningSocket>> Listen(const char* field, const std::string& address) {
  ASSIGN_OR_RETURN(Bound bound, BindAll(field, address));
  if (bound.error != 0) return CannotListen(field, address, ReasonOf(bound.error));
  for (const ListeningSocket& socket : bound.sockets) {
    if (listen(socket.descriptor(), SOMAXCONN) != 0) return CannotListen(field, address, ReasonOf(errno));
  }
  return std::move(bound.sockets);
}

absl::Status CheckListening(const std::string& listen_address, const std::string& metrics_address) {
  ASSIGN_OR_RETURN(const SocketAddresses calls, CheckOne("listen_address", listen_address));
  ASSIGN_OR_RETURN(const SocketAddresses metrics, CheckOne("metrics_address", metrics_address));
  for (const SocketAddress& one : calls) {
    for (const SocketAddress& other : metrics) {
      if (Overlap(one, other)) {
        return absl::InvalidArgumentError(absl::StrCat("metrics_address ", metrics_address,
                                                       " is taken by listen_address ", listen_address));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace kandinsky::server
