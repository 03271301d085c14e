#include "server/message_size.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <string>

namespace kandinsky::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// Whether a length-delimited field of this kind takes no more memory than bytes on the wire.
bool IsBulk(const FieldDescriptor& field) {
  return field.type() == FieldDescriptor::TYPE_BYTES || field.type() == FieldDescriptor::TYPE_FLOAT;
}

class Counter {
 public:
  Counter(google::protobuf::io::CodedInputStream& stream, int64_t limit) : stream_(stream), limit_(limit) {}

  // Counts up to the end of the stream's current limit; false when the bytes are no `message`.
  bool Count(const Descriptor& message) {
    while (text_ <= limit_) {
      const int start = stream_.CurrentPosition();
      const uint32_t tag = stream_.ReadTag();
      if (tag == 0) return stream_.ConsumedEntireMessage();
      int64_t bulk = 0;
      if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
        if (!WireFormatLite::SkipField(&stream_, tag)) return false;
      } else if (!CountDelimited(message.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag)), bulk)) {
        return false;
      }
      // A field in which the count has stopped was not read to its end.
      if (text_ > limit_) return true;
      text_ += stream_.CurrentPosition() - start - bulk;
    }
    return true;
  }

  int64_t text() const { return text_; }

 private:
  // Reads length and content. `bulk` are the bytes of it that are not text, or were counted already.
  bool CountDelimited(const FieldDescriptor* field, int64_t& bulk) {
    uint32_t length = 0;
    if (!stream_.ReadVarint32(&length) || length > INT32_MAX) return false;
    if (field != nullptr && field->type() == FieldDescriptor::TYPE_MESSAGE) {
      const auto outer = stream_.PushLimit(static_cast<int>(length));
      const bool whole = stream_.BytesUntilLimit() == static_cast<int>(length);
      const bool well_formed = whole && Count(*field->message_type());
      stream_.PopLimit(outer);
      bulk = length;
      return well_formed;
    }
    if (field != nullptr && IsBulk(*field)) bulk = length;
    return stream_.Skip(static_cast<int>(length));
  }

  google::protobuf::io::CodedInputStream& stream_;
  const int64_t limit_;
  int64_t text_ = 0;
};

}  // namespace

std::optional<int64_t> TextBytes(const grpc::ByteBuffer& bytes, const Descriptor& message, int64_t limit) {
  grpc::ByteBuffer shared(bytes);  // Reading empties its buffer; this one shares the slices.
  grpc::ProtoBufferReader reader(&shared);
  if (!reader.status().ok()) return std::nullopt;
  google::protobuf::io::CodedInputStream stream(&reader);
  Counter counter(stream, limit);
  if (!counter.Count(message)) return std::nullopt;
  return counter.text();
}

}  // namespace kandinsky::server
