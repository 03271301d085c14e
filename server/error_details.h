#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "scheduler/engine_types.h"

namespace kandinsky::server {

// RPC errors with rich details: a google.rpc.Status in the trailer, always with one ErrorInfo (domain
// "kandinsky"). Messages are constant phrases; what varies is in the details.

// One thing that is wrong with a request.
struct FieldViolation {
  std::string field;        // path in the request, e.g. "width"
  std::string description;  // the rule and its limit
  // For an image that cannot be read, why, for metrics: "too_many_bytes", "too_many_pixels", "header" (not a
  // image, or of a kind that is not read), "damaged", "memory". Null for everything else.
  const char* image_fault = nullptr;
};

// One thing that the served model cannot do.
struct PreconditionViolation {
  std::string type;         // "TASK" or "IMAGE_ENCODER"
  std::string subject;      // the task's name, or the field that needs it
  std::string description;  // why
};

// INVALID_ARGUMENT, reason INVALID_REQUEST, BadRequest with every violation.
grpc::Status InvalidRequestError(const std::vector<FieldViolation>& violations);

// INVALID_ARGUMENT, reason MALFORMED_REQUEST: the bytes are not the message, or a string is not UTF-8.
grpc::Status MalformedRequestError();

// INVALID_ARGUMENT, reason NO_MESSAGE: the call ended before its message was there.
grpc::Status NoMessageError();

// UNIMPLEMENTED, reason UNKNOWN_METHOD or COMPRESSED_MESSAGE.
grpc::Status UnknownMethodError();
grpc::Status CompressedMessageError();

// FAILED_PRECONDITION, reason NOT_OFFERED_BY_MODEL, PreconditionFailure with every violation.
grpc::Status FailedPreconditionError(const std::vector<PreconditionViolation>& violations);

// RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE, with QuotaFailure: what a message holds besides images,
// tensors and embeddings exceeds limits.max_text_message_bytes.
grpc::Status MessageTooLargeError(int64_t limit);

// RESOURCE_EXHAUSTED, reason MESSAGE_TOO_LARGE or METADATA_TOO_LARGE, with QuotaFailure: all of a message
// exceeds limits.max_receive_message_bytes, or the metadata limits.max_metadata_bytes.
grpc::Status ReceiveLimitError(int64_t limit);
grpc::Status MetadataTooLargeError(int64_t limit);

// RESOURCE_EXHAUSTED, reason DECODE_QUEUE_FULL, with QuotaFailure and RetryInfo: too many images wait to be
// decoded.
grpc::Status DecodeQueueFullError();

// RESOURCE_EXHAUSTED, reason TOO_MANY_REFLECTION_STREAMS, with RetryInfo: `most` are open.
grpc::Status TooManyReflectionStreamsError(int most);

// NOT_FOUND with ResourceInfo; `type` is "model", "adapter", "generation" or "service", the reason e.g.
// MODEL_NOT_FOUND.
grpc::Status NotFoundError(const std::string& type, const std::string& name);

// ALREADY_EXISTS, reason REQUEST_ID_IN_USE, with ResourceInfo.
grpc::Status RequestIdInUseError(const std::string& id);

// RESOURCE_EXHAUSTED, reason BYTES_IN_FLIGHT, with QuotaFailure, and with RetryInfo when the request can ever
// fit.
grpc::Status BytesInFlightError(std::optional<absl::Duration> retry_after);

// The error of a request that the engine refused as `submission` says, not kNone:
//   kDraining             UNAVAILABLE SHUTTING_DOWN, with RetryInfo
//   kNoWorker             UNAVAILABLE NO_WORKER, with RetryInfo
//   kQueueFull            RESOURCE_EXHAUSTED QUEUE_FULL, with QuotaFailure and RetryInfo
//   kQueueTooLong         RESOURCE_EXHAUSTED QUEUE_TOO_LONG, with QuotaFailure and RetryInfo
//   kDeadlinePassed       DEADLINE_EXCEEDED, metadata phase "queued"
//   kDeadlineUnreachable  DEADLINE_EXCEEDED DEADLINE_UNREACHABLE, metadata phase "admission" and
//                         predicted_seconds, the time from now to the end that was expected; with RetryInfo
//                         when it is the load that is in the way
// RetryInfo's delay is the estimated wait (the last one: until the request would be in time), at least 100
// ms.
grpc::Status RefusalError(const Submission& submission);

// UNAVAILABLE with RetryInfo. Reasons: MODEL_LOADING, SHUTTING_DOWN, NO_WORKER, WORKER_LOST.
grpc::Status UnavailableError(const char* reason, const char* message, absl::Duration retry_after);

// RESOURCE_EXHAUSTED, reason SHED, with RetryInfo: the request lost its place in the full queue.
grpc::Status ShedError(absl::Duration retry_after);

// DEADLINE_EXCEEDED, reason DEADLINE_EXCEEDED, metadata phase: "message" (it was still coming), "queued" or
// "running".
grpc::Status DeadlineExceededError(const char* phase);

// CANCELLED, reason CANCELLED_BY_CLIENT or CANCELLED_BY_SHUTDOWN.
grpc::Status CancelledError(bool by_shutdown);

// INTERNAL, reason INTERNAL, metadata error_id: 16 hexadecimal digits, also in a log line with `cause`, which
// the caller of the RPC never sees.
grpc::Status InternalError(const std::string& cause);

// The error of a request that the engine took and ended with `status` (not OK), for codes that need no more
// than the status itself: RESOURCE_EXHAUSTED is reason OUT_OF_MEMORY, with QuotaFailure (no RetryInfo: what
// did not fit alone will not fit later), INVALID_ARGUMENT reason REFUSED_BY_MODEL, or InvalidRequestError
// when a strict text was cut, UNAVAILABLE reason WORKER_LOST, everything unexpected InternalError. `list`:
// the field that has one text per image, null when all images share their texts.
grpc::Status GenerationError(const absl::Status& status, const char* list = nullptr);

// What is known about work that has ended.
struct WorkFacts {
  bool started = false;
  bool by_shutdown = false;  // if it was cancelled, then not by its client
  absl::Duration estimated_wait = absl::ZeroDuration();
  const char* text_list = nullptr;  // as `list` of GenerationError
};

// The status of a call whose work the engine took and ended with `status`.
grpc::Status EndOfWork(const absl::Status& status, const WorkFacts& facts);

// The reason in the ErrorInfo of `status`; "" when there is none.
std::string ErrorReason(const grpc::Status& status);

// The delay in the RetryInfo of `status`; nothing when there is none.
std::optional<absl::Duration> RetryDelay(const grpc::Status& status);

// "OK", "INVALID_ARGUMENT", ...
const char* StatusCodeName(grpc::StatusCode code);

// `count` random hexadecimal digits, count <= 32.
std::string RandomHex(int count);

}  // namespace kandinsky::server
