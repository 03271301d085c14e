#pragma once

#include <string>

#include "absl/strings/str_cat.h"

namespace kandinsky::server {

// Names an RPC in routing, metrics and logs. The strings are literals.
struct RpcMethod {
  const char* service;  // full name
  const char* name;
  const char* type;  // as common dashboards have it: "unary", "server_stream" or "bidi_stream"

  // "/package.Service/Method"
  std::string Path() const { return absl::StrCat("/", service, "/", name); }
};

// Calls of methods that the server does not have, and calls that gRPC ended before their method was known:
// what a client names freely is in no label.
inline constexpr RpcMethod kUnknownMethod = {"unknown", "unknown", "unknown"};

}  // namespace kandinsky::server
