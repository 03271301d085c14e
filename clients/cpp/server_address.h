#pragma once

#include <string>

#include "absl/status/status.h"

namespace kandinsky::client {

// Whether `address` can be a server's: host:port, [IPv6]:port, unix:PATH, or another target of gRPC's
// (dns:, ipv4:, ipv6:, unix-abstract:). INVALID_ARGUMENT with what is wrong and what to give instead.
absl::Status CheckServerAddress(const std::string& address);

// An error of a call that did not come from the service but from the way to it, in words that say what was
// tried, why it failed and what to do; any other error as it is. `address` is the server's.
absl::Status ExplainConnection(const absl::Status& status, const std::string& address);

}  // namespace kandinsky::client
