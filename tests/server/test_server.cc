#include "tests/server/test_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config.h"

#if defined(__SANITIZE_THREAD__)
// The suppressions need the stack of both accesses, and gRPC hands objects on late: keep a long history.
extern "C" const char* __tsan_default_options() { return "history_size=7"; }
#endif

namespace kandinsky::server {

TestServer::TestServer(TestServerOptions options) {
  if (options.gated) {
    options.pipeline.on_step = [this](const FakeStep&) { gate_.Pass(); };
  }
  const auto load = [options, log = log_]() -> absl::StatusOr<LoadedModel> {
    if (options.load_gate != nullptr) options.load_gate->Pass();
    if (!options.load_error.ok()) return options.load_error;
    return LoadFake(options.pipeline, log);
  };
  auto server = Server::Start(Config(options.overrides), load, *options.clock);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  if (options.load_gate == nullptr && options.load_error.ok()) {
    EXPECT_EQ(server_->WaitUntilReady(), absl::OkStatus());
  }
  channel_ = NewChannel();
  stub_ = v1::ImageGenerationService::NewStub(channel_);
}

TestServer::~TestServer() { gate_.Open(); }

std::string TestServer::address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

std::shared_ptr<grpc::Channel> TestServer::NewChannel(const grpc::ChannelArguments& arguments) const {
  grpc::ChannelArguments own = arguments;
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), own);
}

v1::Generation TestServer::Get(const std::string& id, const std::string& client, bool include_images) {
  grpc::ClientContext context;
  SetClient(client, context);
  v1::GetGenerationRequest request;
  request.set_id(id);
  request.set_include_images(include_images);
  v1::Generation generation;
  const grpc::Status status = stub_->GetGeneration(&context, request, &generation);
  EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) << status.error_message();
  return generation;
}

void TestServer::WaitForState(const std::string& id, v1::GenerationState state, const std::string& client) {
  while (Get(id, client).state() != state) std::this_thread::yield();
}

void TestServer::WaitForMetric(const std::string& line) const {
  while (!absl::StrContains(server_->MetricsText(), line + "\n")) {
    std::this_thread::yield();
  }
}

v1::ServerConfig TestServer::Config(const std::vector<std::string>& overrides) {
  v1::ServerConfig config;
  for (const char* text :
       {"listen_address=127.0.0.1:0", "metrics_address=", "model.path=x", "drain.lame_duck_seconds=0"}) {
    EXPECT_EQ(ApplyOverride(text, config), absl::OkStatus());
  }
  for (const std::string& text : overrides) EXPECT_EQ(ApplyOverride(text, config), absl::OkStatus());
  config = WithDefaults(config);
  EXPECT_EQ(ValidateConfig(config), absl::OkStatus());
  return config;
}

v1::GenerateRequest SmallRequest(const std::string& prompt) {
  v1::GenerateRequest request;
  request.set_prompt(prompt);
  request.set_width(64);
  request.set_height(64);
  request.set_steps(4);
  request.set_prior_steps(3);
  request.set_seed(7);
  return request;
}

std::vector<v1::GenerateEvent> ReadAll(grpc::ClientReader<v1::GenerateEvent>& reader) {
  std::vector<v1::GenerateEvent> events;
  v1::GenerateEvent event;
  while (reader.Read(&event)) events.push_back(event);
  return events;
}

std::string StreamOutcome::ImageData(int index) const {
  std::string data;
  for (const v1::GenerateEvent& event : events) {
    if (event.has_image() && event.image().index() == index) data += event.image().data();
  }
  return data;
}

OpenStream::OpenStream(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request,
                       const std::string& client, absl::Duration timeout) {
  SetClient(client, context_);
  if (timeout != absl::InfiniteDuration()) {
    context_.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  }
  reader_ = stub.Generate(&context_, request);
}

v1::GenerateEvent OpenStream::WaitFor(v1::GenerateEvent::EventCase kind) {
  v1::GenerateEvent event;
  while (reader_->Read(&event)) {
    events_.push_back(event);
    if (event.event_case() == kind) return event;
  }
  ADD_FAILURE() << "the stream ended before event " << kind;
  return {};
}

StreamOutcome OpenStream::End() {
  StreamOutcome outcome;
  outcome.events = std::move(events_);
  for (v1::GenerateEvent& event : ReadAll(*reader_)) outcome.events.push_back(std::move(event));
  outcome.status = reader_->Finish();
  const auto& trailers = context_.GetServerTrailingMetadata();
  if (const auto found = trailers.find("grpc-retry-pushback-ms"); found != trailers.end()) {
    outcome.retry_pushback_ms.assign(found->second.data(), found->second.size());
  }
  return outcome;
}

StreamOutcome Stream(TestServer& server, const v1::GenerateRequest& request, const std::string& client) {
  return OpenStream(server.stub(), request, client).End();
}

void SetClient(const std::string& client, grpc::ClientContext& context) {
  if (!client.empty()) context.AddMetadata("x-client-id", client);
}

}  // namespace kandinsky::server
