#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "imaging/encoded_image.h"
#include "kandinsky/v1/embedding.grpc.pb.h"
#include "pipeline/simulated/simulated_results.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_images.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int kDim = 8;
constexpr char kService[] = "kandinsky.v1.EmbeddingService";

TestServerOptions Small(TestServerOptions options = {}) {
  options.pipeline.capabilities.embedding_dim = kDim;
  options.pipeline.capabilities.clip_image_size = 16;
  return options;
}

class EmbeddingServiceTest : public testing::Test {
 protected:
  explicit EmbeddingServiceTest(TestServerOptions options = Small()) : server_(std::move(options)) {}

  // One call of a method, e.g. Call(&Stub::EmbedText, request, response).
  using Stub = v1::EmbeddingService::Stub;
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    return (stub_.get()->*method)(&context, request, &response);
  }

  TestServer server_;
  const std::unique_ptr<Stub> stub_ = v1::EmbeddingService::NewStub(server_.channel());
};

std::vector<float> ValuesOf(const v1::Embedding& embedding) {
  return {embedding.values().begin(), embedding.values().end()};
}

GenerationResult ResultOf(Task task, const std::string& prompt = "", uint64_t seed = 0) {
  GenerationRequest request;
  request.task = std::move(task);
  request.prompt = prompt;
  request.seed = seed;
  return SimulatedResult(request, kDim);
}

std::vector<std::string> WrongFields(const grpc::Status& status) {
  std::vector<std::string> fields;
  const auto bad_request = Detail<google::rpc::BadRequest>(status);
  for (const auto& violation : bad_request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

std::string Reason(const grpc::Status& status) { return Detail<google::rpc::ErrorInfo>(status).reason(); }

TEST_F(EmbeddingServiceTest, EmbedsTextsInTheirOrder) {
  v1::EmbedTextRequest request;
  request.add_texts("a red cat");
  request.add_texts("");
  v1::EmbedTextResponse response;
  const grpc::Status status = Call(&Stub::EmbedText, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.embeddings_size(), 2);
  EXPECT_EQ(ValuesOf(response.embeddings(0).embedding()),
            ResultOf(EmbedText(), "a red cat").embedding->values);
  EXPECT_EQ(ValuesOf(response.embeddings(1).embedding()), ResultOf(EmbedText(), "").embedding->values);
  EXPECT_EQ(response.embeddings(0).token_ids_size(), 77);
  EXPECT_EQ(response.embeddings(0).tokens(), 5);
  EXPECT_EQ(response.embeddings(1).tokens(), 2) << "each text has its own";
  EXPECT_FALSE(response.embeddings(0).has_hidden_states());
}

TEST_F(EmbeddingServiceTest, SendsTheHiddenStatesWhenAsked) {
  v1::EmbedTextRequest request;
  request.add_texts("a red cat");
  request.set_include_hidden_states(true);
  v1::EmbedTextResponse response;
  ASSERT_TRUE(Call(&Stub::EmbedText, request, response).ok());
  EXPECT_THAT(response.embeddings(0).hidden_states().shape(), ElementsAre(77, kDim));
  EXPECT_EQ(response.embeddings(0).hidden_states().data().size(), 77u * kDim * 4);
}

TEST_F(EmbeddingServiceTest, ReportsATextThatWasCutOrRefusesIt) {
  std::string text = "word";
  for (int i = 1; i < 100; ++i) text += " word";
  v1::EmbedTextRequest request;
  request.add_texts(text);
  v1::EmbedTextResponse response;
  ASSERT_TRUE(Call(&Stub::EmbedText, request, response).ok());
  EXPECT_EQ(response.embeddings(0).tokens(), 102);
  EXPECT_EQ(response.embeddings(0).kept_tokens(), 77);
  request.set_strict_text(true);
  *request.mutable_texts(0) = "short";
  request.add_texts(text);
  EXPECT_THAT(WrongFields(Call(&Stub::EmbedText, request, response)), ElementsAre("texts[1]"));
}

TEST_F(EmbeddingServiceTest, TextsOfACallShareAStep) {
  v1::EmbedTextRequest request;
  for (int i = 0; i < 4; ++i) request.add_texts("cat");
  v1::EmbedTextResponse response;
  ASSERT_TRUE(Call(&Stub::EmbedText, request, response).ok());
  ASSERT_THAT(server_.log().steps(), SizeIs(1));
  EXPECT_THAT(server_.log().steps().front().members, SizeIs(4));
  EXPECT_EQ(server_.log().steps().front().key.network, "text_encoder");
}

TEST_F(EmbeddingServiceTest, EmbedsImagesInTheirOrder) {
  v1::EmbedImagesRequest request;
  request.add_images(PlainPng(40, 20, 10));
  request.add_images(JpegOf(PlainImage(20, 40, 250)));
  v1::EmbedImagesResponse response;
  const grpc::Status status = Call(&Stub::EmbedImages, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.embeddings_size(), 2);
  const auto clip = [](uint8_t value) { return std::make_shared<const Image>(PlainImage(16, 16, value)); };
  EXPECT_EQ(ValuesOf(response.embeddings(0)), ResultOf(EmbedImage{clip(10)}).embedding->values);
  EXPECT_EQ(ValuesOf(response.embeddings(1)), ResultOf(EmbedImage{clip(250)}).embedding->values);
}

TEST_F(EmbeddingServiceTest, RunsThePriorForEverySeed) {
  v1::GenerateImageEmbeddingRequest request;
  request.set_prompt("a red cat");
  request.set_prior_steps(4);
  request.set_seed(11);
  request.set_count(2);
  v1::GenerateImageEmbeddingResponse response;
  const grpc::Status status = Call(&Stub::GenerateImageEmbedding, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.embeddings_size(), 2);
  EXPECT_EQ(response.embeddings(0).seed(), 11u);
  EXPECT_EQ(response.embeddings(1).seed(), 12u);
  const GenerationResult expected = ResultOf(EmbedPrompt(), "a red cat", 12);
  EXPECT_EQ(ValuesOf(response.embeddings(1).embedding()), expected.embedding->values);
  EXPECT_EQ(ValuesOf(response.embeddings(1).negative_embedding()), expected.negative_embedding->values);
  EXPECT_THAT(server_.log().steps(), SizeIs(1 + 4));
}

TEST_F(EmbeddingServiceTest, MixesTextsAndImagesForEverySeed) {
  v1::GenerateImageEmbeddingRequest request;
  request.mutable_mix()->add_parts()->set_text("a red cat");
  v1::MixPart& part = *request.mutable_mix()->add_parts();
  part.set_image(PlainPng(16, 16, 10));
  part.set_weight(-0.5f);
  request.set_negative_prior_prompt("fog");
  request.set_prior_steps(4);
  request.set_seed(11);
  request.set_count(2);
  v1::GenerateImageEmbeddingResponse response;
  const grpc::Status status = Call(&Stub::GenerateImageEmbedding, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.embeddings_size(), 2);
  const std::vector<GenerationRequest> natives = server_.log().requests();
  ASSERT_THAT(natives, SizeIs(2));
  for (const GenerationRequest& native : natives) {
    EXPECT_STREQ(TaskName(native.task), "embed_prompt");
    EXPECT_EQ(native.negative_prior_prompt, "fog");
    ASSERT_THAT(native.mix->parts, SizeIs(2));
    EXPECT_EQ(std::get<std::string>(native.mix->parts[0].content), "a red cat");
    EXPECT_THAT(std::get<InputImage>(native.mix->parts[1].content)->pixels, Each(10));
    EXPECT_EQ(native.mix->parts[1].weight, -0.5f);
  }
}

TEST_F(EmbeddingServiceTest, EmbeddingsToMixNeedNoNetwork) {
  v1::GenerateImageEmbeddingRequest request;
  *request.mutable_mix()->add_parts()->mutable_embedding() = PlainEmbedding(kDim, 1);
  v1::GenerateImageEmbeddingResponse response;
  const grpc::Status status = Call(&Stub::GenerateImageEmbedding, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_THAT(server_.log().steps(), SizeIs(1));
  EXPECT_EQ(server_.log().steps().front().key.network, "none");
}

TEST_F(EmbeddingServiceTest, EncodesAImageToLatents) {
  v1::EncodeLatentsRequest request;
  request.set_image(PlainPng(50, 50));
  request.set_width(128);
  request.set_height(64);
  v1::EncodeLatentsResponse response;
  const grpc::Status status = Call(&Stub::EncodeLatents, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.latents().shape(), ElementsAre(4, 8, 16));
  EXPECT_EQ(server_.log().steps().front().key.network, "movq_encoder");
  EXPECT_EQ(server_.log().steps().front().key.latent_width, 16);
}

TEST_F(EmbeddingServiceTest, EncodesPixelsToLatents) {
  v1::EncodeLatentsRequest request;
  *request.mutable_pixels() = PlainTensor({3, 64, 128}, -1);
  v1::EncodeLatentsResponse response;
  const grpc::Status status = Call(&Stub::EncodeLatents, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.latents().shape(), ElementsAre(4, 8, 16));
  const GenerationRequest native = server_.log().requests().front();
  EXPECT_THAT(std::get<SharedFloatTensor>(std::get<EncodeLatents>(native.task).image)->values, Each(-1));
}

TEST_F(EmbeddingServiceTest, DecodesLatentsToAnImageOrPixels) {
  v1::DecodeLatentsRequest request;
  *request.mutable_latents() = PlainTensor({4, 8, 16}, 0.5f);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_WEBP);
  v1::DecodeLatentsResponse response;
  const grpc::Status status = Call(&Stub::DecodeLatents, request, response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.image().format(), v1::OUTPUT_FORMAT_WEBP);
  EXPECT_TRUE(ProbeImage(response.image().data()).ok());
  EXPECT_FALSE(response.has_pixels());
  request.clear_output();
  request.set_float_pixels(true);
  ASSERT_TRUE(Call(&Stub::DecodeLatents, request, response).ok());
  EXPECT_THAT(response.pixels().shape(), ElementsAre(3, 64, 128));
  EXPECT_FALSE(response.has_image());
}

TEST_F(EmbeddingServiceTest, RefusesWhatIsWrongWithItsField) {
  v1::EmbedTextRequest texts;
  v1::EmbedTextResponse text_response;
  EXPECT_THAT(WrongFields(Call(&Stub::EmbedText, texts, text_response)), ElementsAre("texts"));
  for (int i = 0; i < 17; ++i) texts.add_texts("x");
  EXPECT_THAT(WrongFields(Call(&Stub::EmbedText, texts, text_response)), ElementsAre("texts"));
  texts.clear_texts();
  texts.add_texts("x");
  texts.add_texts("a\tb\x01");
  texts.set_model("?");
  EXPECT_THAT(WrongFields(Call(&Stub::EmbedText, texts, text_response)), ElementsAre("model", "texts[1]"));

  v1::EmbedImagesRequest images;
  v1::EmbedImagesResponse images_response;
  images.add_images(PlainPng(4, 4));
  images.add_images("x");
  EXPECT_THAT(WrongFields(Call(&Stub::EmbedImages, images, images_response)), ElementsAre("images[1]"));

  v1::GenerateImageEmbeddingRequest prompt;
  v1::GenerateImageEmbeddingResponse prompt_response;
  prompt.set_prior_steps(1);
  prompt.set_count(9);
  prompt.set_prior_guidance_scale(-1);
  EXPECT_THAT(WrongFields(Call(&Stub::GenerateImageEmbedding, prompt, prompt_response)),
              ElementsAre("prompt", "prior_steps", "prior_guidance_scale", "count"));
  prompt.clear_count();
  prompt.mutable_mix();
  EXPECT_THAT(WrongFields(Call(&Stub::GenerateImageEmbedding, prompt, prompt_response)),
              ElementsAre("prior_steps", "prior_guidance_scale", "mix.parts"));
  prompt.set_prompt("a cat");
  prompt.mutable_prior_start()->set_image(PlainPng(4, 4));
  prompt.mutable_mix()->add_parts();
  prompt.mutable_mix()->add_parts()->set_text(" ");
  EXPECT_THAT(WrongFields(Call(&Stub::GenerateImageEmbedding, prompt, prompt_response)),
              ElementsAre("prompt", "prior_start", "prior_steps", "prior_guidance_scale", "mix.parts[0]",
                          "mix.parts[1].text"));
}

TEST_F(EmbeddingServiceTest, RefusesTensorsOfWrongShapesAndValues) {
  v1::EncodeLatentsRequest encode;
  v1::EncodeLatentsResponse encoded;
  EXPECT_THAT(WrongFields(Call(&Stub::EncodeLatents, encode, encoded)), ElementsAre("image"));
  for (const auto& tensor :
       {PlainTensor({3, 64, 65}, 0), PlainTensor({1, 64, 64}, 0), PlainTensor({3, 64, 64}, 1.5f),
        PlainTensor({3, 64, 64}, std::numeric_limits<float>::quiet_NaN())}) {
    *encode.mutable_pixels() = tensor;
    EXPECT_THAT(WrongFields(Call(&Stub::EncodeLatents, encode, encoded)), ElementsAre("pixels"));
  }
  *encode.mutable_pixels() = PlainTensor({3, 64, 64}, 0);
  encode.set_width(64);
  EXPECT_THAT(WrongFields(Call(&Stub::EncodeLatents, encode, encoded)), ElementsAre("width"));

  v1::DecodeLatentsRequest decode;
  v1::DecodeLatentsResponse decoded;
  for (const auto& tensor :
       {v1::FloatTensor(), PlainTensor({4, 8, 9}, 0), PlainTensor({3, 8, 8}, 0), PlainTensor({4, 1000, 8}, 0),
        PlainTensor({4, 8, 8}, std::numeric_limits<float>::infinity())}) {
    *decode.mutable_latents() = tensor;
    EXPECT_THAT(WrongFields(Call(&Stub::DecodeLatents, decode, decoded)), ElementsAre("latents"));
  }
  *decode.mutable_latents() = PlainTensor({4, 8, 8}, 1000);
  decode.mutable_output()->set_format(v1::OUTPUT_FORMAT_LATENT);
  EXPECT_THAT(WrongFields(Call(&Stub::DecodeLatents, decode, decoded)), ElementsAre("output.format"));
  decode.mutable_output()->set_format(v1::OUTPUT_FORMAT_PNG);
  decode.set_float_pixels(true);
  EXPECT_THAT(WrongFields(Call(&Stub::DecodeLatents, decode, decoded)), ElementsAre("output"));
  EXPECT_EQ(server_.log().admitted(), 0);
}

TEST_F(EmbeddingServiceTest, RefusesAnAnswerThatDoesNotFitIntoOneReplyBeforeAnyWork) {
  v1::DecodeLatentsRequest request;
  *request.mutable_latents() = PlainTensor({4, 128, 128}, 0);
  request.set_float_pixels(true);
  v1::DecodeLatentsResponse response;
  EXPECT_THAT(WrongFields(Call(&Stub::DecodeLatents, request, response)), ElementsAre("float_pixels"));
  EXPECT_EQ(server_.log().admitted(), 0);
}

TEST(EmbeddingServiceOfAFineModel, CountsTheBytesOfItsLatents) {
  TestServerOptions options = Small();
  options.pipeline.capabilities.latent_scale = 4;
  options.overrides = {"limits.max_unary_reply_bytes=10000"};
  TestServer server(options);
  v1::EncodeLatentsRequest request;
  request.set_image(PlainPng(64, 64));
  request.set_width(64);
  request.set_height(64);  // 4 x 16 x 16 floats take 4096 bytes
  v1::EncodeLatentsResponse response;
  const auto stub = v1::EmbeddingService::NewStub(server.channel());
  grpc::ClientContext context;
  EXPECT_TRUE(stub->EncodeLatents(&context, request, &response).ok());
  request.set_width(256);  // 16384; with latents of an eighth it would be 4096
  grpc::ClientContext wider;
  EXPECT_THAT(WrongFields(stub->EncodeLatents(&wider, request, &response)), ElementsAre("width"));
}

TEST(EmbeddingServiceOfAModelWithALongWindow, CountsTheBytesOfItsHiddenStates) {
  v1::EmbedTextRequest request;
  request.add_texts("a red cat");
  request.set_include_hidden_states(true);
  v1::EmbedTextResponse response;
  for (const auto& [window, fits] : {std::pair{77, true}, {154, false}}) {
    TestServerOptions options = Small();
    options.pipeline.capabilities.text_windows = {{.network = "text_encoder", .tokens = window}};
    options.overrides = {"limits.max_unary_reply_bytes=50000"};
    TestServer server(options);
    grpc::ClientContext context;
    const grpc::Status status =
        v1::EmbeddingService::NewStub(server.channel())->EmbedText(&context, request, &response);
    EXPECT_EQ(status.ok(), fits) << window;
    EXPECT_EQ(WrongFields(status),
              fits ? std::vector<std::string>() : std::vector<std::string>{"include_hidden_states"});
  }
}

TEST_F(EmbeddingServiceTest, RefusesAnUnknownModelUnknownAdaptersAndAMalformedMessage) {
  v1::GenerateImageEmbeddingRequest prior;
  prior.set_prompt("x");
  prior.set_adapter("oil");
  v1::GenerateImageEmbeddingResponse embeddings;
  EXPECT_EQ(Reason(Call(&Stub::GenerateImageEmbedding, prior, embeddings)), "ADAPTER_NOT_FOUND");
  v1::EmbedTextRequest request;
  request.add_texts("x");
  request.set_model("other");
  v1::EmbedTextResponse response;
  EXPECT_EQ(Reason(Call(&Stub::EmbedText, request, response)), "MODEL_NOT_FOUND");
  for (const char* method :
       {"EmbedText", "EmbedImages", "GenerateImageEmbedding", "EncodeLatents", "DecodeLatents"}) {
    const RawReply reply =
        CallRaw(server_.channel(), std::string("/") + kService + "/" + method, "\x0A\x7F garbage");
    EXPECT_EQ(reply.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(Reason(reply.status), "MALFORMED_REQUEST") << method;
  }
}

TEST_F(EmbeddingServiceTest, RefusesADamagedImageWithItsField) {
  v1::EmbedImagesRequest request;
  request.add_images(PlainPng(4, 4));
  request.add_images(TruncatedPng(64, 64));
  v1::EmbedImagesResponse response;
  const grpc::Status status = Call(&Stub::EmbedImages, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFields(status), ElementsAre("images[1]"));
  server_.WaitForMetric("kandinsky_inflight_bytes 0");
}

TEST_F(EmbeddingServiceTest, CountsItsCallsUnderItsOwnName) {
  v1::EmbedTextRequest request;
  request.add_texts("x");
  v1::EmbedTextResponse response;
  ASSERT_TRUE(Call(&Stub::EmbedText, request, response).ok());
  server_.WaitForMetric("kandinsky_inflight_calls 0");  // calls are counted when gRPC has sent their ends
  EXPECT_THAT(server_.server().MetricsText(),
              HasSubstr("grpc_server_started_total{grpc_method=\"EmbedText\",grpc_service=\"kandinsky.v1."
                        "EmbeddingService\",grpc_type=\"unary\"} 1"));
  EXPECT_THAT(server_.server().MetricsText(),
              HasSubstr("kandinsky_requests_total{code=\"OK\",method=\"EmbedText\",reason=\"\"} 1"));
  server_.WaitForMetric("kandinsky_inflight_calls 0");
  server_.WaitForMetric("kandinsky_inflight_bytes 0");
}

TEST_F(EmbeddingServiceTest, HasAHealthNameAndIsInTheReflection) {
  EXPECT_EQ(CheckHealth(server_.channel(), kService), "SERVING");
  const std::string list_services("\x3A\x01*", 3);
  EXPECT_THAT(CallRaw(server_.channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                      list_services)
                  .bytes,
              HasSubstr(kService));
}

TEST(EmbeddingServiceWithoutImageEncoder, RefusesImagesWithAFailedPrecondition) {
  TestServerOptions options = Small();
  options.pipeline.capabilities.has_image_encoder = false;
  TestServer server(options);
  const auto stub = v1::EmbeddingService::NewStub(server.channel());
  grpc::ClientContext context;
  v1::EmbedImagesRequest request;
  request.add_images(PlainPng(4, 4));
  v1::EmbedImagesResponse response;
  const grpc::Status status = stub->EmbedImages(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Detail<google::rpc::PreconditionFailure>(status).violations(0).type(), "IMAGE_ENCODER");
}

class GatedEmbeddingService : public EmbeddingServiceTest {
 protected:
  GatedEmbeddingService()
      : EmbeddingServiceTest(Small({.overrides = {"engine.max_queued_requests=1", "engine.max_batch_rows=1",
                                                  "engine.max_active_generations=1"},
                                    .gated = true})) {}

  // A call on a thread of its own.
  struct Pending {
    grpc::ClientContext context;
    grpc::Status status;
    std::thread thread;
  };
  std::unique_ptr<Pending> Start() {
    auto pending = std::make_unique<Pending>();
    pending->thread = std::thread([this, call = pending.get()] {
      v1::GenerateImageEmbeddingRequest request;
      request.set_prompt("a red cat");
      v1::GenerateImageEmbeddingResponse response;
      call->status = stub_->GenerateImageEmbedding(&call->context, request, &response);
    });
    return pending;
  }
};

TEST_F(GatedEmbeddingService, EndsTheWorkOfAClientThatIsGone) {
  const auto call = Start();
  server_.gate().WaitForArrivals(1);
  call->context.TryCancel();
  call->thread.join();
  EXPECT_EQ(call->status.error_code(), grpc::StatusCode::CANCELLED);
  server_.WaitForMetric("kandinsky_cancelled_total{phase=\"running\"} 1");
  server_.gate().Open();
  server_.WaitForMetric("kandinsky_inflight_generations 0");
  EXPECT_LE(server_.log().steps().size(), 1u);
  server_.WaitForMetric("kandinsky_inflight_calls 0");
}

TEST_F(GatedEmbeddingService, TellsWhenToRetryOnAFullQueue) {
  const auto running = Start();
  server_.gate().WaitForArrivals(1);
  const auto waiting = Start();
  server_.WaitForMetric("kandinsky_queue_depth{priority=\"normal\"} 1");
  v1::EmbedTextRequest request;
  request.add_texts("excess");
  v1::EmbedTextResponse response;
  const grpc::Status status = Call(&Stub::EmbedText, request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(status), "QUEUE_FULL");
  EXPECT_TRUE(Detail<google::rpc::RetryInfo>(status).has_retry_delay());
  server_.gate().Open();
  running->thread.join();
  waiting->thread.join();
  EXPECT_TRUE(running->status.ok());
  EXPECT_TRUE(waiting->status.ok());
}

TEST_F(GatedEmbeddingService, EndsWithTheServer) {
  const auto call = Start();
  server_.gate().WaitForArrivals(1);
  server_.gate().Open();
  server_.Destroy();
  call->thread.join();
  EXPECT_TRUE(call->status.ok() || call->status.error_code() == grpc::StatusCode::CANCELLED ||
              call->status.error_code() == grpc::StatusCode::UNAVAILABLE)
      << call->status.error_code();
}

TEST(EmbeddingServiceFaults, AreInternalErrorsWithoutTheirText) {
  TestServerOptions options = Small();
  options.pipeline.failures = {
      {.prompt = "bad", .stage = Stage::kEncode, .step = 0, .kind = ScriptedFailure::Kind::kThrow}};
  TestServer server(options);
  const auto stub = v1::EmbeddingService::NewStub(server.channel());
  grpc::ClientContext context;
  v1::EmbedTextRequest request;
  request.add_texts("bad");
  v1::EmbedTextResponse response;
  const grpc::Status status = stub->EmbedText(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_details(), testing::Not(HasSubstr("secret")));
}

TEST(EmbeddingServiceDeadline, IsWhyACallEndedThatItsClientGaveUp) {
  FakeClock clock;
  TestServer server(Small({.gated = true, .clock = &clock}));
  const auto stub = v1::EmbeddingService::NewStub(server.channel());
  grpc::ClientContext context;
  std::thread call([&] {
    v1::EmbedTextRequest request;
    request.add_texts("cat");
    v1::EmbedTextResponse response;
    stub->EmbedText(&context, request, &response);
  });
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(119));  // clients are a little ahead of the deadline, 120
  context.TryCancel();
  call.join();
  server.WaitForMetric(
      "kandinsky_requests_total{code=\"DEADLINE_EXCEEDED\",method=\"EmbedText\",reason=\"DEADLINE_EXCEEDED\"}"
      " 1");
  server.gate().Open();
  server.WaitForMetric("kandinsky_inflight_calls 0");
}

TEST(EmbeddingServiceDeadline, EndsTheWorkWithDeadlineExceeded) {
  FakeClock clock;
  TestServerOptions options = Small({.gated = true, .clock = &clock});
  TestServer server(options);
  const auto stub = v1::EmbeddingService::NewStub(server.channel());
  grpc::Status status;
  std::thread call([&] {
    grpc::ClientContext context;
    v1::EmbedTextRequest request;
    request.add_texts("cat");
    v1::EmbedTextResponse response;
    status = stub->EmbedText(&context, request, &response);
  });
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(121));  // the default deadline is 120
  server.gate().Open();
  call.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace kandinsky::server
