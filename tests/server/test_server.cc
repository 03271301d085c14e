#include "tests/server/test_server.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config.h"

namespace kandinsky {

TestServer::TestServer(TestServerOptions options) {
  if (options.gated) {
    options.pipeline.on_step = [this](const FakeStep&) { gate_.Pass(); };
  }
  const auto load = [options, log = log_]() -> absl::StatusOr<std::vector<PipelineFactory>> {
    if (options.load_gate != nullptr) options.load_gate->Pass();
    if (!options.load_error.ok()) return options.load_error;
    return std::vector<PipelineFactory>{[options, log]() -> absl::StatusOr<std::unique_ptr<Pipeline>> {
      return std::make_unique<FakePipeline>(options.pipeline, log);
    }};
  };
  auto server = Server::Start(Config(options.overrides), load);
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

}  // namespace kandinsky
