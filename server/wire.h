#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

namespace kandinsky::server {

// Messages to and from raw bytes. The services take raw requests and parse them here, because the callback
// API answers a request that does not parse with UNIMPLEMENTED and no text.

// Returns false when `bytes` is not a `message`, or a string in it is not UTF-8.
template <typename Message>
bool ParseMessage(const grpc::ByteBuffer& bytes, Message& message) {
  grpc::ByteBuffer shared(bytes);  // Parsing empties its buffer; this one shares the slices.
  return grpc::SerializationTraits<Message>::Deserialize(&shared, &message).ok();
}

// Returns false when the message cannot be serialized.
template <typename Message>
bool SerializeMessage(const Message& message, grpc::ByteBuffer& bytes) {
  bool own_buffer = false;
  return grpc::SerializationTraits<Message>::Serialize(message, &bytes, &own_buffer).ok();
}

}  // namespace kandinsky::server
