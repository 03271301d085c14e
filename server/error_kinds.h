#pragma once

#include <grpcpp/support/status_code_enum.h>

#include "absl/types/span.h"

namespace kandinsky::server {

// The closed sets of reasons that metrics have as labels.

// A status code and the reason in the ErrorInfo beside it.
struct ErrorKind {
  grpc::StatusCode code;
  const char* reason;
};

// Every way in which a call may end but OK: the errors of error_details.h, and those of the two reasons
// below.
absl::Span<const ErrorKind> ErrorKinds();

// Calls that gRPC refused before the server saw them.
inline constexpr char kRefusedByTransport[] = "REFUSED_BY_TRANSPORT";
// Calls whose answer did not reach the client.
inline constexpr char kNotDelivered[] = "NOT_DELIVERED";

// The values of FieldViolation::image_fault.
inline constexpr const char* kImageFaults[] = {"too_many_bytes", "too_many_pixels", "header", "damaged",
                                               "memory"};

}  // namespace kandinsky::server
