#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <optional>

#include "kandinsky/v1/server_config.pb.h"
#include "server/error_details.h"
#include "server/message_size.h"
#include "server/wire.h"

namespace kandinsky::server {

// Parses the message of a call. The error when it is too large or not well-formed, else nothing.
template <typename Message>
std::optional<grpc::Status> ReadMessage(const grpc::ByteBuffer& bytes, const v1::LimitsConfig& limits,
                                        Message& message) {
  const int64_t limit = limits.max_text_message_bytes();
  const std::optional<int64_t> text = TextBytes(bytes, *Message::descriptor(), limit);
  if (!text.has_value()) return MalformedRequestError();
  if (*text > limit) return MessageTooLargeError(limit);
  if (!ParseMessage(bytes, message)) return MalformedRequestError();
  return std::nullopt;
}

}  // namespace kandinsky::server
