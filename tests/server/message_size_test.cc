#include "server/message_size.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include "kandinsky/v1/embedding.pb.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "tests/server/test_images.h"

namespace kandinsky::server {
namespace {

constexpr int64_t kNoLimit = INT64_MAX;

std::optional<int64_t> TextBytesOf(const std::string& bytes, const google::protobuf::Descriptor& descriptor,
                                   int64_t limit = kNoLimit, size_t slice_bytes = 1 << 20) {
  std::vector<grpc::Slice> slices;
  for (size_t begin = 0; begin < bytes.size(); begin += slice_bytes) {
    slices.emplace_back(bytes.substr(begin, slice_bytes));
  }
  return TextBytes(grpc::ByteBuffer(slices.data(), slices.size()), descriptor, limit);
}

template <typename Message>
std::optional<int64_t> TextBytesOf(const Message& message, int64_t limit = kNoLimit) {
  return TextBytesOf(message.SerializeAsString(), *Message::descriptor(), limit);
}

TEST(TextBytes, OfAMessageWithoutBulkAreAllItsBytes) {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.set_seed(7);
  request.add_seeds(1);
  request.mutable_output()->set_quality(3);
  EXPECT_EQ(TextBytesOf(request), static_cast<int64_t>(request.ByteSizeLong()));
}

TEST(TextBytes, LeaveOutImagesTensorsAndEmbeddings) {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.mutable_mix()->add_parts()->set_image(std::string(100'000, 'x'));
  *request.mutable_mix()->add_parts()->mutable_embedding() = PlainEmbedding(1280, 1);
  *request.mutable_image_embedding() = PlainEmbedding(1280, 1);
  const int64_t text = *TextBytesOf(request);
  EXPECT_LT(text, 100);
  EXPECT_GT(text, 9);
  v1::DecodeLatentsRequest latents;
  *latents.mutable_latents() = PlainTensor({4, 64, 64}, 1);
  EXPECT_LT(*TextBytesOf(latents), 50);
  v1::EmbedImagesRequest images;
  images.add_images(std::string(100'000, 'x'));
  EXPECT_LT(*TextBytesOf(images), 10);
}

TEST(TextBytes, CountWhatTakesMoreMemoryThanBytes) {
  v1::GenerateRequest mix;
  for (int i = 0; i < 10'000; ++i) mix.mutable_mix()->add_parts();
  EXPECT_GE(*TextBytesOf(mix), 20'000);
  v1::EmbedTextRequest texts;
  for (int i = 0; i < 10'000; ++i) texts.add_texts("");
  EXPECT_GE(*TextBytesOf(texts), 20'000);
  v1::EmbedImagesRequest images;
  for (int i = 0; i < 10'000; ++i) images.add_images("");
  EXPECT_GE(*TextBytesOf(images), 20'000);
  v1::GenerateRequest seeds;
  for (int i = 0; i < 10'000; ++i) seeds.add_seeds(1);
  EXPECT_GE(*TextBytesOf(seeds), 10'000) << "packed, yet each takes eight times its byte";
}

TEST(TextBytes, StopCountingAboveTheLimit) {
  v1::EmbedTextRequest texts;
  for (int i = 0; i < 100'000; ++i) texts.add_texts("");
  const int64_t text = *TextBytesOf(texts, 1000);
  EXPECT_GT(text, 1000);
  EXPECT_LT(text, 1010);
}

// A length-delimited field as it is on the wire.
std::string Field(uint32_t number, const std::string& content) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.WriteTag(number << 3 | 2);
    coded.WriteVarint32(static_cast<uint32_t>(content.size()));
    coded.WriteString(content);
  }
  return bytes;
}

TEST(TextBytes, StayAboveTheLimitWhateverFollowsTheFieldThatExceededIt) {
  v1::GenerateRequest many_parts;
  for (int i = 0; i < 1000; ++i) many_parts.mutable_mix()->add_parts();
  const std::string parts = many_parts.mix().SerializeAsString();
  // The rest of the inner message, which is not counted any more, is many times as long as the limit, and
  // would not be text in the outer one.
  constexpr uint32_t mix = v1::GenerateRequest::kMixFieldNumber;
  constexpr uint32_t embedding = v1::GenerateRequest::kImageEmbeddingFieldNumber;
  const std::string rest = Field(embedding, PlainEmbedding(25'000, 1).SerializeAsString());
  const std::string first = Field(mix, parts + rest);
  EXPECT_GT(*TextBytesOf(first, *v1::GenerateRequest::descriptor(), 1000), 1000);
  EXPECT_GT(*TextBytesOf(first + Field(mix, parts), *v1::GenerateRequest::descriptor(), 1000), 1000);
}

TEST(TextBytes, CountUnknownFields) {
  const std::string unknown = "\xFA\xFF\x7F\x03xyz";
  EXPECT_EQ(TextBytesOf(unknown, *v1::GenerateRequest::descriptor()), 7);
}

TEST(TextBytes, OfWhatIsNoMessageAreUnknown) {
  v1::GenerateRequest request;
  request.mutable_image_to_image()->set_image(std::string(1000, 'x'));
  const std::string whole = request.SerializeAsString();
  for (size_t length = 1; length < whole.size(); length += 7) {
    EXPECT_EQ(TextBytesOf(whole.substr(0, length), *v1::GenerateRequest::descriptor()), std::nullopt)
        << length;
  }
}

TEST(TextBytes, DoNotDependOnHowTheBytesAreSliced) {
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  request.mutable_mix()->add_parts()->set_image(std::string(1000, 'x'));
  const std::string bytes = request.SerializeAsString();
  for (const size_t slice : {1, 2, 3, 100}) {
    EXPECT_EQ(TextBytesOf(bytes, *v1::GenerateRequest::descriptor(), kNoLimit, slice), TextBytesOf(request));
  }
}

TEST(TextBytes, OfAnEmptyMessageAreNone) { EXPECT_EQ(TextBytesOf(v1::GenerateRequest()), 0); }

}  // namespace
}  // namespace kandinsky::server
