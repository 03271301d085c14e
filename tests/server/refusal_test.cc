#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kGenerateImages[] = "/kandinsky.v1.ImageGenerationService/GenerateImages";

grpc::Status Call(TestServer& server, const v1::GenerateRequest& request) {
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  return server.stub().GenerateImages(&context, request, &response);
}

grpc::Status StreamStatus(TestServer& server, const v1::GenerateRequest& request) {
  return Stream(server, request).status;
}

// A server whose second denoising step fails for `prompt`.
TestServerOptions FailingAt(const std::string& prompt, ScriptedFailure::Kind kind) {
  TestServerOptions options;
  options.pipeline.failures = {{.prompt = prompt, .stage = Stage::kDenoise, .step = 1, .kind = kind}};
  return options;
}

std::string Reason(const grpc::Status& status) { return Detail<google::rpc::ErrorInfo>(status).reason(); }

TEST(Refusal, ListsEveryViolationToBothMethods) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest(std::string(5000, 'a'));
  request.set_width(65);
  for (const grpc::Status& status : {Call(server, request), StreamStatus(server, request)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(Reason(status), "INVALID_REQUEST");
    const auto bad_request = Detail<google::rpc::BadRequest>(status);
    ASSERT_EQ(bad_request.field_violations_size(), 2);
    EXPECT_EQ(bad_request.field_violations(0).field(), "prompt");
    EXPECT_THAT(bad_request.field_violations(0).description(), HasSubstr("4096"));
    EXPECT_EQ(bad_request.field_violations(1).field(), "width");
  }
  EXPECT_EQ(server.log().admitted(), 0);
}

TEST(Refusal, OfTextThatIsNotUtf8IsInvalidArgument) {
  TestServer server;
  const RawReply reply = CallRaw(server.channel(), kGenerateImages, "\x12\x02\xFF\xFE");
  EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Reason(reply.status), "MALFORMED_REQUEST");
}

TEST(Refusal, OfBytesThatAreNoMessageIsInvalidArgument) {
  TestServer server;
  for (const char* method :
       {"Generate", "GenerateImages", "CancelGeneration", "GetGeneration", "ListGenerations"}) {
    const RawReply reply = CallRaw(
        server.channel(), std::string("/kandinsky.v1.ImageGenerationService/") + method, "\x0A\x7F garbage");
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(Reason(reply.status), "MALFORMED_REQUEST") << method;
  }
}

TEST(Refusal, DoesNotConcernUnknownFields) {
  TestServer server;
  const std::string unknown_field = "\xFA\xFF\x7F\x03xyz";
  const RawReply reply =
      CallRaw(server.channel(), kGenerateImages, SmallRequest().SerializeAsString() + unknown_field);
  EXPECT_TRUE(reply.status.ok()) << reply.status.error_message();
}

TEST(Refusal, OfAnUnknownModelNamesIt) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.set_model("fake");
  EXPECT_TRUE(Call(server, request).ok());
  request.set_model("no-such-model");
  const grpc::Status status = Call(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Reason(status), "MODEL_NOT_FOUND");
  EXPECT_EQ(Detail<google::rpc::ResourceInfo>(status).resource_name(), "no-such-model");
}

TEST(Refusal, OfUnknownAdaptersNamesThem) {
  TestServerOptions options;
  options.pipeline.capabilities.adapters = {"watercolour"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest();
  request.set_adapter("watercolour");
  EXPECT_TRUE(Call(server, request).ok());
  EXPECT_EQ(server.log().requests().front().adapter, "watercolour");
  request.set_adapter("oil");
  const grpc::Status status = Call(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Reason(status), "ADAPTER_NOT_FOUND");
  EXPECT_EQ(Detail<google::rpc::ResourceInfo>(status).resource_name(), "oil");
  request.set_adapter("../oil");
  EXPECT_EQ(Call(server, request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Refusal, OfARequestBeyondTheQueueTellsWhenToRetry) {
  TestServer server({.overrides = {"engine.max_queued_requests=1", "engine.max_batch_rows=1",
                                   "engine.max_active_generations=1"},
                     .gated = true});
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>>> readers;
  const auto submit = [&](const char* prompt) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    readers.push_back(server.stub().Generate(contexts.back().get(), SmallRequest(prompt)));
  };
  submit("running");
  server.gate().WaitForArrivals(1);
  submit("waiting");
  server.WaitForMetric("kandinsky_queue_depth{priority=\"normal\"} 1");
  const grpc::Status status = Call(server, SmallRequest("excess"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(status), "QUEUE_FULL");
  const auto delay = Detail<google::rpc::RetryInfo>(status).retry_delay();
  EXPECT_GE(static_cast<double>(delay.seconds()) + delay.nanos() * 1e-9, 0.1);
  server.gate().Open();
  for (auto& reader : readers) {
    ReadAll(*reader);
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST(Refusal, OfAnUnknownGenerationToCancelIsNotFound) {
  TestServer server;
  for (const auto& [id, code] : {std::pair{"nobody", grpc::StatusCode::NOT_FOUND},
                                 std::pair{"a b", grpc::StatusCode::INVALID_ARGUMENT}}) {
    grpc::ClientContext context;
    v1::CancelGenerationRequest request;
    request.set_id(id);
    v1::CancelGenerationResponse response;
    EXPECT_EQ(server.stub().CancelGeneration(&context, request, &response).error_code(), code);
  }
}

TEST(Refusal, OfACompressedMessageIsUnimplemented) {
  TestServer server;
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    v1::GenerateImagesResponse response;
    const v1::GenerateRequest request = SmallRequest(std::string(4000, 'a'));
    EXPECT_EQ(server.stub().GenerateImages(&context, request, &response).error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
}

TEST(Refusal, OfAMessageAboveTheReceiveLimitIsResourceExhausted) {
  TestServer server(
      {.overrides = {"limits.max_receive_message_bytes=100000", "limits.max_image_bytes=9000"}});
  v1::GenerateRequest request = SmallRequest();
  request.mutable_image_to_image()->set_image(std::string(100'000, 'a'));
  EXPECT_EQ(Call(server, request).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  request.mutable_image_to_image()->set_image(std::string(99'000, 'a'));
  EXPECT_EQ(Call(server, request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

constexpr size_t kTextLimit = 81920;  // of a message, by default

TEST(Refusal, OfMoreTextThanAMessageMayHoldIsResourceExhausted) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest(std::string(kTextLimit, 'a'));
  const grpc::Status status = Call(server, request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(status), "MESSAGE_TOO_LARGE");
  EXPECT_EQ(Detail<google::rpc::QuotaFailure>(status).violations(0).subject(),
            "limits.max_text_message_bytes");
  request = SmallRequest();
  const size_t padding =
      kTextLimit - request.ByteSizeLong() - 4;  // prompt's tag is there, its length grows by bytes
  request.set_prompt(std::string(padding, 'a'));
  ASSERT_LE(request.ByteSizeLong(), kTextLimit);
  EXPECT_EQ(Call(server, request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(Refusal, OfMethodsWithoutImagesComesAtTheLimitOfText) {
  TestServer server;
  v1::GetGenerationRequest request;
  request.set_id(std::string(kTextLimit, 'a'));
  for (const char* method : {"CancelGeneration", "GetGeneration", "ListGenerations"}) {
    const RawReply reply =
        CallRaw(server.channel(), std::string("/kandinsky.v1.ImageGenerationService/") + method,
                request.SerializeAsString());
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << method;
  }
}

TEST(Refusal, OfTooMuchMetadataIsResourceExhausted) {
  TestServer server;
  for (const auto& [bytes, ok] : {std::pair{7000, true}, std::pair{9000, false}}) {
    grpc::ClientContext context;
    context.AddMetadata("x-filler", std::string(static_cast<size_t>(bytes), 'a'));
    v1::GenerateImagesResponse response;
    const grpc::Status status = server.stub().GenerateImages(&context, SmallRequest(), &response);
    EXPECT_EQ(status.error_code(), ok ? grpc::StatusCode::OK : grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
}

TEST(Refusal, OfAnOversizedUnaryReplyComesBeforeAnyWork) {
  TestServer server;
  v1::GenerateRequest request = SmallRequest();
  request.set_width(2048);
  request.set_height(2048);
  EXPECT_EQ(Call(server, request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(server.log().admitted(), 0);
  EXPECT_TRUE(StreamStatus(server, request).ok());
}

// A pipeline that throws or fails shows nothing but an error id.
class PipelineFault : public testing::TestWithParam<ScriptedFailure::Kind> {};

TEST_P(PipelineFault, IsAnInternalErrorWithoutItsText) {
  TestServer server(FailingAt("bad", GetParam()));
  const grpc::Status status = StreamStatus(server, SmallRequest("bad"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message(), "internal error");
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).metadata().at("error_id").size(), 16u);
  EXPECT_THAT(status.error_details(), Not(HasSubstr("secret")));
  EXPECT_THAT(status.error_details(), Not(HasSubstr("finite")));
  EXPECT_TRUE(Call(server, SmallRequest("good")).ok());
}

INSTANTIATE_TEST_SUITE_P(Kinds, PipelineFault,
                         testing::Values(ScriptedFailure::Kind::kInternal, ScriptedFailure::Kind::kThrow));

TEST(Refusal, OfWhatDoesNotFitIntoMemoryIsResourceExhausted) {
  TestServer server(FailingAt("bad", ScriptedFailure::Kind::kOutOfMemory));
  const grpc::Status status = StreamStatus(server, SmallRequest("bad"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(status), "OUT_OF_MEMORY");
}

TEST(Refusal, ByTheModelCarriesItsReason) {
  TestServerOptions options;
  options.pipeline.refused_prompts = {"bad"};
  TestServer server(options);
  const grpc::Status status = StreamStatus(server, SmallRequest("bad"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Detail<google::rpc::BadRequest>(status).field_violations(0).description(),
            "the model cannot serve this prompt");
}

TEST(Refusal, OfAResultThatCannotBeTakenIsInternal) {
  TestServerOptions options;
  options.pipeline.prompts_without_result = {"bad"};
  TestServer server(options);
  EXPECT_EQ(StreamStatus(server, SmallRequest("bad")).error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Call(server, SmallRequest("bad")).error_code(), grpc::StatusCode::INTERNAL);
}

TEST(Refusal, OfAnUnknownMethodIsUnimplemented) {
  TestServer server;
  EXPECT_EQ(CallRaw(server.channel(), "/kandinsky.v1.ImageGenerationService/Nothing", "").status.error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace kandinsky::server
