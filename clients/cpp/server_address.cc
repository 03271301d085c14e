#include "clients/cpp/server_address.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/rich_error.h"

namespace kandinsky::client {
namespace {

constexpr int kLargestPort = 65535;
constexpr char kExample[] = "give host:port, e.g. localhost:50051";

// What gRPC knows besides host:port.
bool IsTarget(absl::string_view address) {
  for (const absl::string_view scheme : {"dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:"}) {
    if (absl::StartsWith(address, scheme) && address.size() > scheme.size()) {
      // A host may be called like a scheme: "dns:53".
      int port = 0;
      return !absl::SimpleAtoi(address.substr(scheme.size()), &port);
    }
  }
  return false;
}

bool IsPort(absl::string_view text) {
  int port = 0;
  for (const char character : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(character))) return false;
  }
  return absl::SimpleAtoi(text, &port) && port >= 1 && port <= kLargestPort;
}

// The last part of a message of gRPC's, which has the reason behind the places it came through.
absl::string_view LastPart(absl::string_view message) {
  const size_t colon = message.rfind(": ");
  return colon == absl::string_view::npos ? message : message.substr(colon + 2);
}

std::string NotReached(absl::string_view message, const std::string& address) {
  if (absl::StrContains(message, "http1.x")) {
    return absl::StrCat(
        "what answers at ", address,
        " is an HTTP/1 server (the port of the metrics?); name the server's gRPC port with --server");
  }
  return absl::StrCat("cannot reach a server at ", address, ": ", LastPart(message),
                      "; is it running there? --server host:port names another");
}

}  // namespace

absl::Status CheckServerAddress(const std::string& address) {
  const auto wrong = [&](absl::string_view what, absl::string_view instead) {
    return absl::InvalidArgumentError(absl::StrCat(Quoted(address), " ", what, "; ", instead));
  };
  if (address.empty()) return wrong("is empty", kExample);
  for (const char character : address) {
    if (static_cast<unsigned char>(character) <= ' ') return wrong("has white space in it", kExample);
  }
  const size_t scheme = address.find("://");
  if (scheme != std::string::npos && !IsTarget(address)) {
    return wrong(
        absl::StrCat("has ", address.substr(0, scheme), ":// in front, which is not for this protocol"),
        kExample);
  }
  if (IsTarget(address)) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  if (address[0] == '[') {
    const size_t bracket = address.find(']');
    if (bracket == std::string::npos || bracket == 1)
      return wrong("has no IPv6 address in its brackets", kExample);
    if (bracket + 1 == address.size()) return wrong("has no port", absl::StrCat("give ", address, ":50051"));
    if (colon != bracket + 1) return wrong("has no port behind its brackets", "give [address]:port");
  } else if (colon == std::string::npos) {
    const bool host = absl::ascii_isalnum(static_cast<unsigned char>(address[0]));
    return wrong("has no port", host ? absl::StrCat("give host:port, e.g. ", address, ":50051") : kExample);
  } else if (address.find(':') != colon) {
    return wrong("has several colons", absl::StrCat("an IPv6 address stands in brackets: [::1]:50051"));
  }
  if (colon == 0) return wrong("has no host", kExample);
  if (!IsPort(absl::string_view(address).substr(colon + 1)))
    return wrong("has no port from 1 to 65535", kExample);
  return absl::OkStatus();
}

absl::Status ExplainConnection(const absl::Status& status, const std::string& address) {
  // The service's own errors have details.
  if (status.ok() || address.empty() || !DetailsOf(status).reason.empty() || DetailsOf(status).retry_after)
    return status;
  const absl::string_view message = status.message();
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      if (absl::StartsWith(message, "failed to connect") ||
          absl::StartsWith(message, "DNS resolution failed")) {
        return absl::UnavailableError(NotReached(message, address));
      }
      return absl::UnavailableError(absl::StrCat("the connection to the server at ", address, " was lost (",
                                                 message, "); look whether it still runs and try again"));
    case absl::StatusCode::kUnimplemented:
      return absl::UnimplementedError(absl::StrCat("the server at ", address, " does not know this call (",
                                                   message, "): it is another program or another version"));
    case absl::StatusCode::kDeadlineExceeded:
      return absl::DeadlineExceededError(absl::StrCat("the server at ", address, " did not finish in time (",
                                                      message, "); --timeout sets how long to wait"));
    default:
      return status;
  }
}

}  // namespace kandinsky::client
