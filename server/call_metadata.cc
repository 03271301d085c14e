#include "server/call_metadata.h"

#include <grpc/support/time.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/config.h"
#include "server/error_details.h"

namespace kandinsky::server {

std::optional<std::string> ClientIdOf(const grpc::ServerContextBase& rpc) {
  const auto [begin, end] = rpc.client_metadata().equal_range(kClientIdKey);
  if (begin == end) return "";
  std::string name(begin->second.data(), begin->second.size());
  if (std::next(begin) != end || !IsValidName(name)) return std::nullopt;
  return name;
}

int64_t MetadataBytes(const grpc::ServerContextBase& rpc) {
  int64_t bytes = 0;
  for (const auto& [key, value] : rpc.client_metadata())
    bytes += static_cast<int64_t>(key.size() + value.size()) + 32;
  return bytes;
}

grpc::Status InvalidClientIdError() {
  return InvalidRequestError(
      {{kClientIdKey, "must be given once, with 1 to 128 characters of A-Z a-z 0-9 . _ -"}});
}

absl::Time DeadlineOf(const grpc::ServerContextBase& rpc, absl::Time arrival,
                      const v1::LimitsConfig& limits) {
  // Not rpc.deadline(): it is told by the wall clock, which may be set meanwhile, and one centuries away
  // overflows its nanoseconds and would lie in the past.
  const gpr_timespec given = gpr_convert_clock_type(rpc.raw_deadline(), GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(given, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0) {
    return arrival + absl::Seconds(limits.default_deadline_seconds());
  }
  const gpr_timespec left = gpr_time_sub(given, gpr_now(GPR_CLOCK_MONOTONIC));
  return arrival + std::min(absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec),
                            absl::Seconds(limits.max_deadline_seconds()));
}

bool IsLate(absl::Time now, absl::Time arrival, absl::Time deadline) {
  // The client's clock for its deadline started before the request arrived, and gRPC rounds the timeout on
  // the wire up by as much as a hundredth: a client gives up a little before the server's deadline.
  return now >= deadline - ((deadline - arrival) / 100 + absl::Milliseconds(10));
}

void AddRetryPushback(const grpc::Status& status, grpc::ServerContextBase& rpc) {
  const std::optional<absl::Duration> delay = RetryDelay(status);
  if (!delay.has_value()) return;
  rpc.AddTrailingMetadata("grpc-retry-pushback-ms",
                          absl::StrCat(absl::ToInt64Milliseconds(absl::Ceil(*delay, absl::Milliseconds(1)))));
}

}  // namespace kandinsky::server
