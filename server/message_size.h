#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>

namespace kandinsky::server {

// How many bytes of an encoded `message` are not the content of its `bytes` fields and packed numbers
// (images, tensors, embeddings). These have to be looked at before parsing: a few megabytes of empty
// strings or messages would take many times as much memory. Stops counting beyond `limit`, so that it costs
// no more than that many bytes. Nothing when the bytes are no message.
std::optional<int64_t> TextBytes(const grpc::ByteBuffer& bytes, const google::protobuf::Descriptor& message,
                                 int64_t limit);

}  // namespace kandinsky::server
