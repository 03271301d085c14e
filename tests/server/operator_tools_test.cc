#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "server/error_details.h"
#include "server/reflection_answers.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

// What grpcurl, ghz, graphical clients and orchestrators ask of a server.

namespace kandinsky::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
namespace reflection = grpc::reflection::v1;
namespace health = grpc::health::v1;
using google::protobuf::FileDescriptorProto;

constexpr char kV1[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr char kV1Alpha[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr int kMostStreams = 16;

// A stream in both directions that stays open, without generated code.
class OpenRawStream {
 public:
  OpenRawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) : stub_(channel) {
    stream_ = stub_.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(nullptr);
    Next();
  }
  ~OpenRawStream() {
    if (!ended_) {
      context_.TryCancel();
      End();
    }
  }

  // False when the stream has ended instead.
  bool Ask(const std::string& request, std::string* reply) {
    const grpc::Slice slice(request);
    stream_->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    return Next() && Read(reply);
  }
  bool Read(std::string* reply) {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, nullptr);
    if (!Next()) return false;
    grpc::Slice slice;
    EXPECT_TRUE(buffer.DumpToSingleSlice(&slice).ok());
    reply->assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return true;
  }
  grpc::Status End() {
    grpc::Status status;
    stream_->Finish(&status, nullptr);
    Next();
    ended_ = true;
    return status;
  }

 private:
  bool Next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::ClientContext context_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  bool ended_ = false;
};

template <typename Response>
std::vector<std::string> ServicesIn(const std::string& bytes) {
  Response response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) names.push_back(service.name());
  return names;
}

std::string ListServices() {
  reflection::ServerReflectionRequest request;
  request.set_list_services("");
  return request.SerializeAsString();
}

TEST(Reflection, ListsEveryServiceInBothVersions) {
  TestServer server;
  const auto all =
      ElementsAre("grpc.health.v1.Health", "kandinsky.v1.EmbeddingService",
                  "kandinsky.v1.ImageGenerationService", "kandinsky.v1.ModelService",
                  "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection");
  EXPECT_THAT(
      ServicesIn<reflection::ServerReflectionResponse>(CallRaw(server.channel(), kV1, ListServices()).bytes),
      all);
  EXPECT_THAT(ServicesIn<grpc::reflection::v1alpha::ServerReflectionResponse>(
                  CallRaw(server.channel(), kV1Alpha, ListServices()).bytes),
              all);
}

TEST(Reflection, DescribesEveryServiceThatItLists) {
  TestServer server;
  const std::string list = CallRaw(server.channel(), kV1, ListServices()).bytes;
  for (const std::string& service : ServicesIn<reflection::ServerReflectionResponse>(list)) {
    reflection::ServerReflectionRequest request;
    request.set_file_containing_symbol(service);
    reflection::ServerReflectionResponse response;
    ASSERT_TRUE(response.ParseFromString(CallRaw(server.channel(), kV1, request.SerializeAsString()).bytes));
    ASSERT_GT(response.file_descriptor_response().file_descriptor_proto_size(), 0) << service;
    FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(response.file_descriptor_response().file_descriptor_proto(0)));
    EXPECT_EQ(file.package() + "." + file.service(0).name(), service);
    EXPECT_EQ(response.original_request().file_containing_symbol(), service);
  }
}

TEST(Reflection, ServesSeveralOpenStreamsAndTellsTheNextOneWhyNot) {
  TestServer server;
  std::vector<std::unique_ptr<OpenRawStream>> held;
  std::string reply;
  for (int i = 0; i < kMostStreams; ++i) {
    held.push_back(std::make_unique<OpenRawStream>(server.channel(), i % 2 == 0 ? kV1 : kV1Alpha));
    EXPECT_TRUE(held.back()->Ask(ListServices(), &reply));
  }
  const grpc::Status refused = CallRaw(server.channel(), kV1, ListServices()).status;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorReason(refused), "TOO_MANY_REFLECTION_STREAMS");
  EXPECT_TRUE(held.front()->Ask(ListServices(), &reply)) << "an open stream answers on";
  held.pop_back();
  while (CallRaw(server.channel(), kV1, ListServices()).bytes.empty()) std::this_thread::yield();
}

TEST(Reflection, EndsAStreamThatAsksNothingForAMinute) {
  FakeClock clock;
  TestServer server({.clock = &clock});
  OpenRawStream stream(server.channel(), kV1);
  std::string reply;
  ASSERT_TRUE(stream.Ask(ListServices(), &reply));
  std::thread time([&] {
    while (server.server().MetricsText().find("reason=\"REFLECTION_IDLE\"} 1") == std::string::npos) {
      clock.Advance(absl::Seconds(10));
      std::this_thread::yield();
    }
  });
  EXPECT_FALSE(stream.Read(&reply));
  const grpc::Status status = stream.End();
  time.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorReason(status), "REFLECTION_IDLE");
}

TEST(Reflection, IsNotThereWhenItIsSwitchedOff) {
  TestServer server({.overrides = {"reflection=false"}});
  for (const char* method : {kV1, kV1Alpha}) {
    EXPECT_EQ(CallRaw(server.channel(), method, ListServices()).status.error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
}

reflection::ServerReflectionResponse AnswerOf(const reflection::ServerReflectionRequest& request) {
  return AnswerReflection<reflection::ServerReflectionRequest, reflection::ServerReflectionResponse>(
      request, {"a.B"}, *google::protobuf::DescriptorPool::generated_pool());
}

TEST(ReflectionAnswers, HaveAFileWithAllThatItImportsOnce) {
  reflection::ServerReflectionRequest request;
  request.set_file_by_filename("kandinsky/v1/image_generation.proto");
  const reflection::ServerReflectionResponse response = AnswerOf(request);
  std::vector<std::string> names;
  for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
    FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(bytes));
    names.push_back(file.name());
  }
  EXPECT_EQ(names.front(), "kandinsky/v1/image_generation.proto");
  EXPECT_THAT(names, testing::UnorderedElementsAre("kandinsky/v1/image_generation.proto",
                                                   "google/protobuf/duration.proto",
                                                   "google/protobuf/timestamp.proto"));
}

TEST(ReflectionAnswers, SayThatSomethingIsUnknown) {
  reflection::ServerReflectionRequest file;
  file.set_file_by_filename("a.proto");
  reflection::ServerReflectionRequest symbol;
  symbol.set_file_containing_symbol("a.C");
  reflection::ServerReflectionRequest extension;
  extension.mutable_file_containing_extension()->set_containing_type("a.C");
  reflection::ServerReflectionRequest numbers;
  numbers.set_all_extension_numbers_of_type("a.C");
  for (const auto& request : {file, symbol, extension, numbers}) {
    EXPECT_EQ(AnswerOf(request).error_response().error_code(), static_cast<int>(grpc::StatusCode::NOT_FOUND));
  }
  EXPECT_EQ(AnswerOf({}).error_response().error_code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
}

TEST(ReflectionAnswers, KnowThatATypeHasNoExtensions) {
  reflection::ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("kandinsky.v1.GenerateRequest");
  const auto response = AnswerOf(request);
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "kandinsky.v1.GenerateRequest");
  EXPECT_THAT(response.all_extension_numbers_response().extension_number(), IsEmpty());
}

health::HealthCheckResponse::ServingStatus StateIn(const std::string& bytes) {
  health::HealthCheckResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  return response.status();
}

TEST(Health, WatchTellsTheStateAndEveryChange) {
  TestServer server;
  OpenRawStream known(server.channel(), "/grpc.health.v1.Health/Watch");
  OpenRawStream unknown(server.channel(), "/grpc.health.v1.Health/Watch");
  std::string reply;
  ASSERT_TRUE(known.Ask("", &reply));
  EXPECT_EQ(StateIn(reply), health::HealthCheckResponse::SERVING);
  ASSERT_TRUE(unknown.Ask("\x0A\x06nobody", &reply));
  EXPECT_EQ(StateIn(reply), health::HealthCheckResponse::SERVICE_UNKNOWN);
  std::thread drain([&server] { server.server().Drain(); });
  ASSERT_TRUE(known.Read(&reply));
  EXPECT_EQ(StateIn(reply), health::HealthCheckResponse::NOT_SERVING);
  EXPECT_FALSE(known.Read(&reply));
  EXPECT_FALSE(known.End().ok());
  drain.join();
}

TEST(Protoset, HasTheInterfaceOfThisServer) {
  std::ifstream file(KANDINSKY_PROTOSET, std::ios::binary);
  google::protobuf::FileDescriptorSet set;
  ASSERT_TRUE(set.ParseFromIstream(&file));
  std::vector<std::string> names;
  for (const FileDescriptorProto& each : set.file()) {
    names.push_back(each.name());
    const auto* linked = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(each.name());
    ASSERT_NE(linked, nullptr) << each.name();
    FileDescriptorProto expected;
    linked->CopyTo(&expected);
    FileDescriptorProto shipped = each;
    for (FileDescriptorProto* proto : {&expected, &shipped}) proto->clear_source_code_info();
    linked->CopyJsonNameTo(&expected);
    EXPECT_EQ(shipped.SerializeAsString(), expected.SerializeAsString()) << each.name();
  }
  EXPECT_THAT(names, Contains("kandinsky/v1/image_generation.proto"));
  EXPECT_THAT(names, Contains("kandinsky/v1/embedding.proto"));
  EXPECT_THAT(names, Contains("kandinsky/v1/model.proto"));
}

}  // namespace
}  // namespace kandinsky::server
