#include "server/error_kinds.h"

namespace kandinsky::server {
namespace {

constexpr ErrorKind kErrorKinds[] = {
    {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST"},
    {grpc::StatusCode::INVALID_ARGUMENT, "MALFORMED_REQUEST"},
    {grpc::StatusCode::INVALID_ARGUMENT, "NO_MESSAGE"},
    {grpc::StatusCode::INVALID_ARGUMENT, "REFUSED_BY_MODEL"},
    {grpc::StatusCode::UNIMPLEMENTED, "UNKNOWN_METHOD"},
    {grpc::StatusCode::UNIMPLEMENTED, "COMPRESSED_MESSAGE"},
    {grpc::StatusCode::UNKNOWN, kRefusedByTransport},
    {grpc::StatusCode::FAILED_PRECONDITION, "NOT_OFFERED_BY_MODEL"},
    {grpc::StatusCode::NOT_FOUND, "MODEL_NOT_FOUND"},
    {grpc::StatusCode::NOT_FOUND, "ADAPTER_NOT_FOUND"},
    {grpc::StatusCode::NOT_FOUND, "GENERATION_NOT_FOUND"},
    {grpc::StatusCode::NOT_FOUND, "SERVICE_NOT_FOUND"},
    {grpc::StatusCode::ALREADY_EXISTS, "REQUEST_ID_IN_USE"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "TOO_MANY_REFLECTION_STREAMS"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "DECODE_QUEUE_FULL"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "BYTES_IN_FLIGHT"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_TOO_LONG"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "SHED"},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "OUT_OF_MEMORY"},
    {grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
    {grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE"},
    {grpc::StatusCode::DEADLINE_EXCEEDED, kNotDelivered},
    {grpc::StatusCode::CANCELLED, kNotDelivered},
    {grpc::StatusCode::CANCELLED, "CANCELLED_BY_CLIENT"},
    {grpc::StatusCode::CANCELLED, "CANCELLED_BY_SHUTDOWN"},
    {grpc::StatusCode::UNAVAILABLE, "MODEL_LOADING"},
    {grpc::StatusCode::UNAVAILABLE, "SHUTTING_DOWN"},
    {grpc::StatusCode::UNAVAILABLE, "NO_WORKER"},
    {grpc::StatusCode::UNAVAILABLE, "WORKER_LOST"},
    {grpc::StatusCode::UNAVAILABLE, "REFLECTION_IDLE"},
    {grpc::StatusCode::INTERNAL, "INTERNAL"},
};

}  // namespace

absl::Span<const ErrorKind> ErrorKinds() { return kErrorKinds; }

}  // namespace kandinsky::server
