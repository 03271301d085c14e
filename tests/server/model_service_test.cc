#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "kandinsky/v1/model.grpc.pb.h"
#include "server/error_details.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kService[] = "kandinsky.v1.ModelService";

grpc::Status Get(TestServer& server, const std::string& name, v1::Model* model) {
  grpc::ClientContext context;
  v1::GetModelRequest request;
  request.set_name(name);
  return v1::ModelService::NewStub(server.channel())->GetModel(&context, request, model);
}

// One look, for waiting: between the two calls of ModelOf the state may change.
v1::ModelState StateOf(TestServer& server) {
  v1::Model model;
  EXPECT_TRUE(Get(server, "", &model).ok());
  return model.state();
}

// The one model of the list, which GetModel tells as well. Its state must not be about to change.
v1::Model ModelOf(TestServer& server) {
  grpc::ClientContext context;
  v1::ListModelsResponse list;
  const grpc::Status status = v1::ModelService::NewStub(server.channel())->ListModels(&context, {}, &list);
  EXPECT_TRUE(status.ok()) << status.error_message();
  if (list.models_size() != 1) {
    ADD_FAILURE() << list.models_size() << " models";
    return {};
  }
  v1::Model model;
  EXPECT_TRUE(Get(server, list.models(0).name(), &model).ok());
  EXPECT_EQ(model.name(), list.models(0).name());
  EXPECT_EQ(model.state(), list.models(0).state());
  return list.models(0);
}

TEST(ModelService, TellsWhatALoadedModelCanDo) {
  TestServerOptions options;
  Capabilities& capabilities = options.pipeline.capabilities;
  capabilities.networks = {"decoder", "inpaint"};
  capabilities.samplers = {SamplerKind::kDdpm, SamplerKind::kEuler};
  capabilities.adapters = {"oil", "ink"};
  capabilities.has_image_encoder = false;
  capabilities.embedding_dim = 8;
  capabilities.latent_scale = 4;
  capabilities.text_windows = {{.network = "text_encoder", .tokens = 77},
                               {.network = "other", .tokens = 120}};
  capabilities.weight_bytes = int64_t{5} << 30;
  TestServer server(options);
  const v1::Model model = ModelOf(server);
  EXPECT_EQ(model.name(), "fake");
  EXPECT_EQ(model.state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(model.not_ready_reason(), "");
  EXPECT_EQ(model.family(), "2.2");
  EXPECT_THAT(model.networks(), ElementsAre("decoder", "inpaint"));
  EXPECT_THAT(model.tasks(), ElementsAre("text_to_image", "image_to_image", "inpaint", "embed_text",
                                         "embed_prompt", "encode_latents", "decode_latents"));
  EXPECT_THAT(model.samplers(), ElementsAre(v1::SAMPLER_DDPM, v1::SAMPLER_EULER));
  EXPECT_THAT(model.adapters(), ElementsAre("oil", "ink"));
  EXPECT_FALSE(model.embeds_images());
  EXPECT_EQ(model.embedding_dim(), 8);
  EXPECT_EQ(model.latent_scale(), 4);
  ASSERT_EQ(model.text_windows_size(), 2);
  EXPECT_EQ(model.text_windows(0).network(), "text_encoder");
  EXPECT_EQ(model.text_windows(0).tokens(), 77);
  EXPECT_EQ(model.text_windows(1).tokens(), 120);
  EXPECT_EQ(model.device(), "cpu");
  EXPECT_EQ(model.dtype(), "float32");
  EXPECT_EQ(model.weight_bytes(), int64_t{5} << 30);
  EXPECT_EQ(model.workers(), 1);
  EXPECT_EQ(model.ready_workers(), 1);
  EXPECT_FALSE(model.has_estimated_wait());
}

TEST(ModelService, TellsTheNarrowerOfTheLimitsOfModelAndServer) {
  TestServerOptions options = {
      .overrides = {"limits.max_size=200", "limits.max_steps=100", "limits.max_prior_steps=1000",
                    "limits.max_images=3", "limits.max_megapixel_steps=7.5", "limits.max_prompt_bytes=99",
                    "limits.max_image_bytes=2048", "limits.max_image_pixels=5000",
                    "limits.max_receive_message_bytes=100000", "limits.max_unary_reply_bytes=4096",
                    "limits.default_deadline_seconds=2.5", "limits.max_deadline_seconds=20"}};
  options.pipeline.capabilities.max_steps = 900;
  options.pipeline.capabilities.max_prior_steps = 30;
  TestServer server(options);
  const v1::ModelLimits limits = ModelOf(server).limits();
  EXPECT_EQ(limits.size_multiple(), 64);
  EXPECT_EQ(limits.min_size(), 64);
  EXPECT_EQ(limits.max_size(), 192);
  EXPECT_EQ(limits.max_steps(), 100);
  EXPECT_EQ(limits.max_prior_steps(), 30);
  EXPECT_EQ(limits.max_images(), 3);
  EXPECT_EQ(limits.max_mix_parts(), 16);
  EXPECT_EQ(limits.max_megapixel_steps(), 7.5);
  EXPECT_EQ(limits.max_prompt_bytes(), 99);
  EXPECT_EQ(limits.max_image_bytes(), 2048);
  EXPECT_EQ(limits.max_image_pixels(), 5000);
  EXPECT_EQ(limits.max_request_bytes(), 100000);
  EXPECT_EQ(limits.max_unary_reply_bytes(), 4096);
  EXPECT_EQ(limits.default_deadline().seconds(), 2);
  EXPECT_EQ(limits.default_deadline().nanos(), 500'000'000);
  EXPECT_EQ(limits.max_deadline().seconds(), 20);
}

// The fields that a request is refused for; none when it is taken.
std::vector<std::string> WrongFields(TestServer& server, v1::GenerateRequest request) {
  request.set_validate_only(true);
  std::vector<std::string> fields;
  const auto bad_request = Detail<google::rpc::BadRequest>(Stream(server, request).status);
  for (const auto& violation : bad_request.field_violations()) fields.push_back(violation.field());
  return fields;
}

TEST(ModelService, TellsTheLimitsThatRequestsAreCheckedAgainst) {
  TestServerOptions options = {.overrides = {"limits.max_size=300", "limits.max_images=3"}};
  options.pipeline.capabilities.max_steps = 40;
  options.pipeline.capabilities.max_prior_steps = 30;
  TestServer server(options);
  const v1::ModelLimits limits = ModelOf(server).limits();
  const auto set = [&](const char* field, int value) {
    v1::GenerateRequest request = SmallRequest();
    request.GetReflection()->SetInt32(&request, v1::GenerateRequest::descriptor()->FindFieldByName(field),
                                      value);
    return WrongFields(server, request);
  };
  const struct {
    const char* field;
    int limit;
    int step;
  } largest[] = {{"width", limits.max_size(), limits.size_multiple()},
                 {"height", limits.max_size(), limits.size_multiple()},
                 {"steps", limits.max_steps(), 1},
                 {"prior_steps", limits.max_prior_steps(), 1},
                 {"image_count", limits.max_images(), 1}};
  for (const auto& [field, limit, step] : largest) {
    EXPECT_THAT(set(field, limit), IsEmpty()) << field << " " << limit;
    EXPECT_THAT(set(field, limit + step), ElementsAre(field)) << limit + step;
  }
  EXPECT_THAT(set("width", limits.min_size()), IsEmpty());
  EXPECT_THAT(set("width", limits.min_size() / 2), ElementsAre("width"));
  v1::GenerateRequest mix;
  for (int i = 0; i < limits.max_mix_parts(); ++i) mix.mutable_mix()->add_parts()->set_text("a cat");
  EXPECT_THAT(WrongFields(server, mix), IsEmpty());
  mix.mutable_mix()->add_parts()->set_text("a cat");
  EXPECT_THAT(WrongFields(server, mix), ElementsAre("mix.parts"));
  const auto prompt_bytes = static_cast<size_t>(limits.max_prompt_bytes());
  EXPECT_THAT(WrongFields(server, SmallRequest(std::string(prompt_bytes, 'a'))), IsEmpty());
  EXPECT_THAT(WrongFields(server, SmallRequest(std::string(prompt_bytes + 1, 'a'))), ElementsAre("prompt"));
}

TEST(ModelService, TellsTheDefaultsThatARequestGets) {
  TestServer server(
      {.overrides = {"limits.max_size=200", "limits.max_steps=10", "limits.max_prior_steps=7"}});
  const v1::ModelDefaults defaults = ModelOf(server).defaults();
  v1::GenerateRequest request;
  request.set_prompt("a red cat");
  ASSERT_TRUE(Stream(server, request).status.ok());
  const GenerationRequest made = server.log().requests().back();
  EXPECT_EQ(defaults.width(), 192);
  EXPECT_EQ(defaults.width(), made.width);
  EXPECT_EQ(defaults.height(), made.height);
  EXPECT_EQ(defaults.steps(), made.steps);
  EXPECT_EQ(defaults.guidance_scale(), made.guidance_scale);
  EXPECT_EQ(defaults.prior_steps(), made.prior_steps);
  EXPECT_EQ(defaults.prior_guidance_scale(), made.prior_guidance_scale);
}

TEST(ModelService, TellsTheModelsOwnDefaults) {
  TestServerOptions options;
  options.pipeline.capabilities.defaults = {.width = 64,
                                            .height = 128,
                                            .steps = 25,
                                            .guidance_scale = 2,
                                            .prior_steps = 20,
                                            .prior_guidance_scale = 1.25f};
  TestServer server(options);
  const v1::ModelDefaults defaults = ModelOf(server).defaults();
  EXPECT_EQ(defaults.width(), 64);
  EXPECT_EQ(defaults.height(), 128);
  EXPECT_EQ(defaults.steps(), 25);
  EXPECT_EQ(defaults.guidance_scale(), 2);
  EXPECT_EQ(defaults.prior_steps(), 20);
  EXPECT_EQ(defaults.prior_guidance_scale(), 1.25f);
}

TEST(ModelService, KnowsTheNameOfAModelThatIsStillBeingLoaded) {
  StepGate load_gate;
  TestServer server({.overrides = {"model.name=soon"}, .load_gate = &load_gate});
  load_gate.WaitForArrivals(1);
  v1::Model expected;
  expected.set_name("soon");
  expected.set_state(v1::MODEL_STATE_LOADING);
  EXPECT_EQ(ModelOf(server).SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(CheckHealth(server.channel(), kService), "SERVING");
  load_gate.Open();
  ASSERT_TRUE(server.server().WaitUntilReady().ok());
  EXPECT_EQ(ModelOf(server).state(), v1::MODEL_STATE_READY);
}

TEST(ModelService, TellsThatLoadingFailed) {
  TestServer server({.load_error = absl::NotFoundError("no unet")});
  EXPECT_FALSE(server.server().WaitUntilReady().ok());
  const v1::Model model = ModelOf(server);
  EXPECT_EQ(model.state(), v1::MODEL_STATE_NOT_READY);
  EXPECT_EQ(model.not_ready_reason(), "LOAD_FAILED");
}

TEST(ModelService, TellsThatNoWorkerIsLeft) {
  FakeClock clock;
  StepGate restarts;
  TestServerOptions options = {.clock = &clock};
  options.pipeline.failures = {
      {.prompt = "bad", .stage = Stage::kDenoise, .step = 0, .kind = ScriptedFailure::Kind::kLost}};
  options.pipeline.on_make = [&restarts](int made) {
    if (made > 0) restarts.Pass();
    return absl::OkStatus();
  };
  TestServer server(options);
  EXPECT_FALSE(Stream(server, SmallRequest("bad")).status.ok());
  while (StateOf(server) == v1::MODEL_STATE_READY) std::this_thread::yield();
  const v1::Model model = ModelOf(server);
  EXPECT_EQ(model.state(), v1::MODEL_STATE_NOT_READY);
  EXPECT_EQ(model.not_ready_reason(), "NO_WORKER");
  EXPECT_EQ(model.workers(), 1);
  EXPECT_EQ(model.ready_workers(), 0);
  EXPECT_EQ(model.family(), "2.2") << "what it can do is known all the same";
  restarts.Open();
  while (StateOf(server) != v1::MODEL_STATE_READY) {
    clock.Advance(absl::Seconds(1));
    std::this_thread::yield();
  }
}

TEST(ModelService, AnswersDuringTheDrain) {
  TestServer server({.gated = true});
  OpenStream running(server.stub(), SmallRequest());
  server.gate().WaitForArrivals(1);
  std::thread drain([&server] { server.server().Drain(); });
  server.WaitForMetric("kandinsky_draining 1");
  EXPECT_EQ(ModelOf(server).state(), v1::MODEL_STATE_DRAINING);
  EXPECT_EQ(CheckHealth(server.channel(), kService), "NOT_SERVING");
  server.gate().Open();
  EXPECT_TRUE(running.End().status.ok());
  drain.join();
}

TEST(ModelService, TellsHowLongARequestWouldWait) {
  FakeClock clock;
  StepGate stays;
  TestServerOptions options = {.overrides = {"engine.max_active_generations=1"}, .clock = &clock};
  options.pipeline.on_step = [&](const FakeStep& step) {
    clock.Advance(absl::Seconds(1));
    if (step.members.front().prompt == "stays") stays.Pass();
  };
  TestServer server(options);
  ASSERT_TRUE(Stream(server, SmallRequest()).status.ok());
  EXPECT_FALSE(ModelOf(server).has_estimated_wait());
  OpenStream running(server.stub(), SmallRequest("stays"));
  stays.WaitForArrivals(1);
  EXPECT_GT(ModelOf(server).estimated_wait().seconds(), 0);
  stays.Open();
  EXPECT_TRUE(running.End().status.ok());
}

TEST(ModelService, FindsTheModelByItsNameOrWithoutOne) {
  TestServer server;
  v1::Model model;
  ASSERT_TRUE(Get(server, "", &model).ok());
  EXPECT_EQ(model.name(), "fake");
  const grpc::Status unknown = Get(server, "other", &model);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorReason(unknown), "MODEL_NOT_FOUND");
  EXPECT_EQ(Detail<google::rpc::ResourceInfo>(unknown).resource_name(), "other");
  const grpc::Status invalid = Get(server, "no name", &model);
  EXPECT_EQ(invalid.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Detail<google::rpc::BadRequest>(invalid).field_violations(0).field(), "name");
}

TEST(ModelService, CountsItsCallsUnderItsOwnName) {
  TestServer server;
  ModelOf(server);
  v1::Model model;
  EXPECT_FALSE(Get(server, "other", &model).ok());
  // Each is counted when gRPC has sent its end.
  for (const char* counted :
       {"code=\"OK\",method=\"ListModels\",reason=\"\"", "code=\"OK\",method=\"GetModel\",reason=\"\"",
        "code=\"NOT_FOUND\",method=\"GetModel\",reason=\"MODEL_NOT_FOUND\""}) {
    server.WaitForMetric(absl::StrCat("kandinsky_requests_total{", counted, "} 1"));
  }
  EXPECT_THAT(server.server().MetricsText(),
              HasSubstr("grpc_server_started_total{grpc_method=\"GetModel\",grpc_service=\"kandinsky."
                        "v1.ModelService\",grpc_type=\"unary\"} 2"));
}

}  // namespace
}  // namespace kandinsky::server
