#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "kandinsky/v1/server_config.pb.h"

namespace kandinsky::server {

// What a call says beside its message.

// The metadata key by which clients name themselves.
inline constexpr char kClientIdKey[] = "x-client-id";

// The client's name, "" when it gives none; nothing when it is not a valid name or there are several.
std::optional<std::string> ClientIdOf(const grpc::ServerContextBase& rpc);

// Keys and values as HTTP/2 counts them: with 32 bytes for each pair.
int64_t MetadataBytes(const grpc::ServerContextBase& rpc);

// INVALID_ARGUMENT that names the key.
grpc::Status InvalidClientIdError();

// The deadline of a call that arrived at `arrival`, by the clock that says so: the default without one, and
// shortened to the longest one.
absl::Time DeadlineOf(const grpc::ServerContextBase& rpc, absl::Time arrival, const v1::LimitsConfig& limits);

// Whether a call that was cancelled at `now` was so because its deadline has passed.
bool IsLate(absl::Time now, absl::Time arrival, absl::Time deadline);

// Repeats the delay of an error's RetryInfo, if it has one, where gRPC's own retries look for it: in the
// trailer grpc-retry-pushback-ms. Before Finish.
void AddRetryPushback(const grpc::Status& status, grpc::ServerContextBase& rpc);

}  // namespace kandinsky::server
