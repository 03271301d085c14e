#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kandinsky {

// RPC errors with rich details: a google.rpc.Status in the trailer, always with one ErrorInfo (domain
// "kandinsky"). Messages are constant phrases; what varies is in the details.

// One thing that is wrong with a request.
struct FieldViolation {
  std::string field;        // path in the request, e.g. "width"
  std::string description;  // the rule and its limit
};

// INVALID_ARGUMENT, reason INVALID_REQUEST, BadRequest with every violation.
grpc::Status InvalidRequestError(const std::vector<FieldViolation>& violations);

// INVALID_ARGUMENT, reason MALFORMED_REQUEST: the bytes are not the message, or a string is not UTF-8.
grpc::Status MalformedRequestError();

// NOT_FOUND with ResourceInfo; `type` is "model" or "generation", the reason e.g. MODEL_NOT_FOUND.
grpc::Status NotFoundError(const std::string& type, const std::string& name);

// ALREADY_EXISTS, reason REQUEST_ID_IN_USE, with ResourceInfo.
grpc::Status RequestIdInUseError(const std::string& id);

// RESOURCE_EXHAUSTED, reason QUEUE_FULL, with RetryInfo; the delay is at least 100 ms.
grpc::Status QueueFullError(absl::Duration retry_after);

// UNAVAILABLE with RetryInfo. Reasons: MODEL_LOADING, SHUTTING_DOWN, NO_WORKER.
grpc::Status UnavailableError(const char* reason, const char* message, absl::Duration retry_after);

// DEADLINE_EXCEEDED, reason DEADLINE_EXCEEDED, metadata phase: "queued" or "running".
grpc::Status DeadlineExceededError(const char* phase);

// CANCELLED, reason CANCELLED_BY_CLIENT or CANCELLED_BY_SHUTDOWN.
grpc::Status CancelledError(bool by_shutdown);

// INTERNAL, reason INTERNAL, metadata error_id: 16 hexadecimal digits, also in a log line with `cause`, which
// the caller of the RPC never sees.
grpc::Status InternalError(const std::string& cause);

// The error of a request that the engine took and ended with `status` (not OK), for codes that need no more
// than the status itself: RESOURCE_EXHAUSTED is reason OUT_OF_MEMORY, INVALID_ARGUMENT reason
// REFUSED_BY_MODEL, UNAVAILABLE reason NO_WORKER, everything unexpected InternalError.
grpc::Status GenerationError(const absl::Status& status);

// The reason in the ErrorInfo of `status`; "" when there is none.
std::string ErrorReason(const grpc::Status& status);

// "OK", "INVALID_ARGUMENT", ...
const char* StatusCodeName(grpc::StatusCode code);

// `count` random hexadecimal digits, count <= 32.
std::string RandomHex(int count);

}  // namespace kandinsky
