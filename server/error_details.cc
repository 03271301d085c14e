#include "server/error_details.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "google/rpc/code.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace kandinsky {
namespace {

constexpr char kDomain[] = "kandinsky";
constexpr absl::Duration kShortestRetry = absl::Milliseconds(100);

// Collects the details of one error.
class ErrorBuilder {
 public:
  ErrorBuilder(grpc::StatusCode code, const char* message, const std::string& reason)
      : code_(code), message_(message) {
    status_.set_code(static_cast<int>(code));
    status_.set_message(message);
    info_.set_reason(reason);
    info_.set_domain(kDomain);
  }

  ErrorBuilder& Metadata(const std::string& key, const std::string& value) {
    (*info_.mutable_metadata())[key] = value;
    return *this;
  }
  template <typename Detail>
  ErrorBuilder& Add(const Detail& detail) {
    extra_.add_details()->PackFrom(detail);
    return *this;
  }
  grpc::Status Build() {
    status_.add_details()->PackFrom(info_);
    status_.MergeFrom(extra_);
    return grpc::Status(code_, message_, status_.SerializeAsString());
  }

 private:
  const grpc::StatusCode code_;
  const char* const message_;
  google::rpc::ErrorInfo info_;
  google::rpc::Status status_;
  google::rpc::Status extra_;
};

google::rpc::RetryInfo RetryAfter(absl::Duration delay) {
  delay = std::clamp(delay, kShortestRetry, absl::Hours(1));
  google::rpc::RetryInfo retry;
  absl::Duration rest;
  retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &rest));
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return retry;
}

google::rpc::ResourceInfo Resource(const std::string& type, const std::string& name) {
  google::rpc::ResourceInfo resource;
  resource.set_resource_type(type);
  resource.set_resource_name(name);
  return resource;
}

google::rpc::BadRequest Violations(const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    auto* added = bad_request.add_field_violations();
    added->set_field(violation.field);
    added->set_description(violation.description);
  }
  return bad_request;
}

}  // namespace

grpc::Status InvalidRequestError(const std::vector<FieldViolation>& violations) {
  return ErrorBuilder(grpc::StatusCode::INVALID_ARGUMENT, "the request is invalid", "INVALID_REQUEST")
      .Add(Violations(violations))
      .Build();
}

grpc::Status MalformedRequestError() {
  return ErrorBuilder(grpc::StatusCode::INVALID_ARGUMENT,
                      "the request is not a well-formed message, or a string in it is not UTF-8",
                      "MALFORMED_REQUEST")
      .Build();
}

grpc::Status NotFoundError(const std::string& type, const std::string& name) {
  return ErrorBuilder(grpc::StatusCode::NOT_FOUND, "no such resource",
                      absl::StrCat(absl::AsciiStrToUpper(type), "_NOT_FOUND"))
      .Add(Resource(type, name))
      .Build();
}

grpc::Status RequestIdInUseError(const std::string& id) {
  return ErrorBuilder(grpc::StatusCode::ALREADY_EXISTS, "a live request has this request_id",
                      "REQUEST_ID_IN_USE")
      .Add(Resource("generation", id))
      .Build();
}

grpc::Status QueueFullError(absl::Duration retry_after) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", "QUEUE_FULL")
      .Add(RetryAfter(retry_after))
      .Build();
}

grpc::Status UnavailableError(const char* reason, const char* message, absl::Duration retry_after) {
  return ErrorBuilder(grpc::StatusCode::UNAVAILABLE, message, reason).Add(RetryAfter(retry_after)).Build();
}

grpc::Status DeadlineExceededError(const char* phase) {
  return ErrorBuilder(grpc::StatusCode::DEADLINE_EXCEEDED, "the deadline has passed", "DEADLINE_EXCEEDED")
      .Metadata("phase", phase)
      .Build();
}

grpc::Status CancelledError(bool by_shutdown) {
  return by_shutdown ? ErrorBuilder(grpc::StatusCode::CANCELLED, "the server is shutting down",
                                    "CANCELLED_BY_SHUTDOWN")
                           .Build()
                     : ErrorBuilder(grpc::StatusCode::CANCELLED, "the generation was cancelled",
                                    "CANCELLED_BY_CLIENT")
                           .Build();
}

grpc::Status InternalError(const std::string& cause) {
  const std::string id = RandomHex(16);
  Log(LogLevel::kError, "internal error", {{"error_id", id}, {"cause", cause}});
  return ErrorBuilder(grpc::StatusCode::INTERNAL, "internal error", "INTERNAL")
      .Metadata("error_id", id)
      .Build();
}

grpc::Status GenerationError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return ErrorBuilder(grpc::StatusCode::INVALID_ARGUMENT, "the model cannot serve the request",
                          "REFUSED_BY_MODEL")
          .Add(Violations({{"", std::string(status.message())}}))
          .Build();
    case absl::StatusCode::kResourceExhausted:
      return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "not enough memory for the request",
                          "OUT_OF_MEMORY")
          .Build();
    case absl::StatusCode::kUnavailable:
      return UnavailableError("NO_WORKER", "no worker can run the request", absl::Seconds(1));
    default:
      return InternalError(status.ToString());
  }
}

std::string ErrorReason(const grpc::Status& status) {
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return "";
  for (const auto& detail : rich.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

const char* StatusCodeName(grpc::StatusCode code) {
  // google.rpc.Code is the same list, and its enumerators carry the names.
  const int number = static_cast<int>(code);
  return google::rpc::Code_IsValid(number)
             ? google::rpc::Code_descriptor()->FindValueByNumber(number)->name().c_str()
             : "UNKNOWN";
}

std::string RandomHex(int count) {
  std::random_device device;
  std::string hex;
  while (hex.size() < static_cast<size_t>(count)) hex += absl::StrCat(absl::Hex(device(), absl::kZeroPad8));
  hex.resize(static_cast<size_t>(count));
  return hex;
}

}  // namespace kandinsky
