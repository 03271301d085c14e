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
#include "scheduler/cut_text.h"

namespace kandinsky::server {
namespace {

constexpr char kDomain[] = "kandinsky";
constexpr absl::Duration kShortestRetry = absl::Milliseconds(100);
// Decoding takes a fraction of a second, so a full queue is soon shorter.
constexpr absl::Duration kDecodeQueueRetry = absl::Seconds(1);

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

google::rpc::QuotaFailure Quota(const char* setting, const char* description) {
  google::rpc::QuotaFailure failure;
  auto* violation = failure.add_violations();
  violation->set_subject(setting);
  violation->set_description(description);
  return failure;
}

// The first detail of type T; nothing when there is none.
template <typename T>
std::optional<T> FindDetail(const grpc::Status& status) {
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return std::nullopt;
  T detail;
  for (const auto& any : rich.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
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

grpc::Status NoMessageError() {
  return ErrorBuilder(grpc::StatusCode::INVALID_ARGUMENT, "the call has no whole message", "NO_MESSAGE")
      .Build();
}

grpc::Status UnknownMethodError() {
  return ErrorBuilder(grpc::StatusCode::UNIMPLEMENTED, "the server has no such method", "UNKNOWN_METHOD")
      .Build();
}

grpc::Status CompressedMessageError() {
  return ErrorBuilder(grpc::StatusCode::UNIMPLEMENTED, "messages must not be compressed",
                      "COMPRESSED_MESSAGE")
      .Build();
}

grpc::Status ReceiveLimitError(int64_t limit) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "the message is too large", "MESSAGE_TOO_LARGE")
      .Metadata("limit_bytes", absl::StrCat(limit))
      .Add(Quota("limits.max_receive_message_bytes", "bytes of a message"))
      .Build();
}

grpc::Status MetadataTooLargeError(int64_t limit) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "the metadata are too large",
                      "METADATA_TOO_LARGE")
      .Metadata("limit_bytes", absl::StrCat(limit))
      .Add(Quota("limits.max_metadata_bytes", "bytes of keys and values, with 32 for each of them"))
      .Build();
}

grpc::Status FailedPreconditionError(const std::vector<PreconditionViolation>& violations) {
  google::rpc::PreconditionFailure failure;
  for (const PreconditionViolation& violation : violations) {
    auto* added = failure.add_violations();
    added->set_type(violation.type);
    added->set_subject(violation.subject);
    added->set_description(violation.description);
  }
  return ErrorBuilder(grpc::StatusCode::FAILED_PRECONDITION, "the model does not offer this",
                      "NOT_OFFERED_BY_MODEL")
      .Add(failure)
      .Build();
}

grpc::Status MessageTooLargeError(int64_t limit) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED,
                      "the message is too large without its images, tensors and embeddings",
                      "MESSAGE_TOO_LARGE")
      .Metadata("limit_bytes", absl::StrCat(limit))
      .Add(
          Quota("limits.max_text_message_bytes", "bytes of a message besides images, tensors and embeddings"))
      .Build();
}

grpc::Status DecodeQueueFullError() {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many images wait to be decoded",
                      "DECODE_QUEUE_FULL")
      .Add(Quota("codec_threads", "tasks that wait for these threads"))
      .Add(RetryAfter(kDecodeQueueRetry))
      .Build();
}

grpc::Status TooManyReflectionStreamsError(int most) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many reflection streams are open",
                      "TOO_MANY_REFLECTION_STREAMS")
      .Metadata("limit", absl::StrCat(most))
      .Add(RetryAfter(absl::Seconds(1)))
      .Build();
}

grpc::Status NotFoundError(const std::string& type, const std::string& name) {
  return ErrorBuilder(grpc::StatusCode::NOT_FOUND, "no such resource",
                      absl::StrCat(absl::AsciiStrToUpper(type), "_NOT_FOUND"))
      .Add(Resource(type, name))
      .Build();
}

grpc::Status RequestIdInUseError(const std::string& id) {
  return ErrorBuilder(grpc::StatusCode::ALREADY_EXISTS, "another request has this request_id",
                      "REQUEST_ID_IN_USE")
      .Add(Resource("generation", id))
      .Build();
}

grpc::Status BytesInFlightError(std::optional<absl::Duration> retry_after) {
  ErrorBuilder error(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many bytes are in flight", "BYTES_IN_FLIGHT");
  error.Add(Quota("engine.max_inflight_bytes", "bytes of requests and results in memory"));
  if (retry_after.has_value()) error.Add(RetryAfter(*retry_after));
  return error.Build();
}

grpc::Status RefusalError(const Submission& submission) {
  const absl::Duration wait = submission.estimated_wait;
  switch (submission.refusal) {
    case RefusalReason::kDraining:
      return UnavailableError("SHUTTING_DOWN", "the server is shutting down", absl::Seconds(1));
    case RefusalReason::kNoWorker:
      return UnavailableError("NO_WORKER", "no worker can run the request", std::max(wait, absl::Seconds(1)));
    case RefusalReason::kQueueFull:
      return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full", "QUEUE_FULL")
          .Add(Quota("engine.max_queued_requests", "requests that wait"))
          .Add(RetryAfter(wait))
          .Build();
    case RefusalReason::kQueueTooLong:
      return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "the expected wait is too long",
                          "QUEUE_TOO_LONG")
          .Add(Quota("engine.max_queued_seconds", "expected seconds until the start"))
          .Add(RetryAfter(wait))
          .Build();
    case RefusalReason::kDeadlinePassed:
      return DeadlineExceededError("queued");
    case RefusalReason::kDeadlineUnreachable: {
      ErrorBuilder error(grpc::StatusCode::DEADLINE_EXCEEDED, "the deadline cannot be met",
                         "DEADLINE_UNREACHABLE");
      error.Metadata("phase", "admission")
          .Metadata("predicted_seconds", absl::StrCat(absl::ToDoubleSeconds(submission.estimated_total)));
      if (submission.reachable_after > absl::ZeroDuration())
        error.Add(RetryAfter(submission.reachable_after));
      return error.Build();
    }
    case RefusalReason::kNone:
    case RefusalReason::kInvalid:
      break;
  }
  return InternalError(submission.status.ToString());
}

grpc::Status UnavailableError(const char* reason, const char* message, absl::Duration retry_after) {
  return ErrorBuilder(grpc::StatusCode::UNAVAILABLE, message, reason).Add(RetryAfter(retry_after)).Build();
}

grpc::Status ShedError(absl::Duration retry_after) {
  return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED,
                      "the place in the full queue was given to another request", "SHED")
      .Add(RetryAfter(retry_after))
      .Build();
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

grpc::Status GenerationError(const absl::Status& status, const char* list) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      if (const auto cut = CutTextOf(status); cut.has_value()) {
        const std::string field =
            list == nullptr ? cut->field : absl::StrCat(list, "[", cut->image_index, "]");
        return InvalidRequestError({{field, std::string(status.message())}});
      }
      return ErrorBuilder(grpc::StatusCode::INVALID_ARGUMENT, "the model cannot serve the request",
                          "REFUSED_BY_MODEL")
          .Add(Violations({{"", std::string(status.message())}}))
          .Build();
    case absl::StatusCode::kResourceExhausted:
      return ErrorBuilder(grpc::StatusCode::RESOURCE_EXHAUSTED, "not enough memory for the request",
                          "OUT_OF_MEMORY")
          .Add(Quota("engine.max_batch_memory_bytes", "memory for the images of one step"))
          .Build();
    case absl::StatusCode::kUnavailable:
      return UnavailableError("WORKER_LOST", "the worker was lost", absl::Seconds(1));
    default:
      return InternalError(status.ToString());
  }
}

grpc::Status EndOfWork(const absl::Status& status, const WorkFacts& facts) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return grpc::Status::OK;
    case absl::StatusCode::kDeadlineExceeded:
      return DeadlineExceededError(facts.started ? "running" : "queued");
    case absl::StatusCode::kCancelled:
      return CancelledError(facts.by_shutdown);
    case absl::StatusCode::kAborted:
      return ShedError(facts.estimated_wait);
    default:
      return GenerationError(status, facts.text_list);
  }
}

std::string ErrorReason(const grpc::Status& status) {
  const auto info = FindDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

std::optional<absl::Duration> RetryDelay(const grpc::Status& status) {
  const auto retry = FindDetail<google::rpc::RetryInfo>(status);
  if (!retry.has_value()) return std::nullopt;
  return absl::Seconds(retry->retry_delay().seconds()) + absl::Nanoseconds(retry->retry_delay().nanos());
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

}  // namespace kandinsky::server
