#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kandinsky::client {

// What the server says about an error besides its code: the google.rpc.Status in the trailer.
struct RichError {
  // One field of the request and the rule that it breaks.
  struct Violation {
    std::string field;
    std::string rule;
  };

  std::string reason;  // stable, e.g. "QUEUE_FULL"; empty when the error did not come from the service
  std::vector<Violation> violations;
  std::optional<absl::Duration> retry_after;
  std::string resource;  // e.g. `model "x"`
  std::string error_id;  // to find an INTERNAL error in the server's log
};

// The same code with a message for people: the server's text, then what its details add, on one line. The
// details stay attached for DetailsOf.
absl::Status ReadableStatus(const grpc::Status& status);

// A text from the network in one line of printable characters.
std::string OneLine(std::string text);

// The details of a status that ReadableStatus made; empty ones when it has none.
RichError DetailsOf(const absl::Status& status);

}  // namespace kandinsky::client
