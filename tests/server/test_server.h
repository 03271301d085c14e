#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/server.h"
#include "tests/fakes/fake_pipeline.h"
#include "tests/fakes/step_gate.h"

namespace kandinsky::server {

// How a TestServer is set up.
struct TestServerOptions {
  FakePipelineOptions pipeline = {};
  std::vector<std::string> overrides = {};  // of the configuration, "path=value"
  bool gated = false;                       // steps wait at TestServer::gate()
  // Loading waits until this gate lets one step through; null: it is immediate.
  StepGate* load_gate = nullptr;
  absl::Status load_error = absl::OkStatus();
  Clock* clock = &Clock::Real();
};

// A whole server on a free port of the loopback interface, around a FakePipeline. Without overrides the
// metrics endpoint is off.
class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {});
  ~TestServer();

  // Destroys the server; steps at the gate stay there.
  void Destroy() { server_.reset(); }

  Server& server() { return *server_; }
  StepGate& gate() { return gate_; }
  const FakePipelineLog& log() const { return *log_; }

  std::string address() const;
  std::shared_ptr<grpc::Channel> NewChannel(const grpc::ChannelArguments& arguments = {}) const;
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  v1::ImageGenerationService::Stub& stub() { return *stub_; }

  // GetGeneration of a client's request; one without an id when there is none.
  v1::Generation Get(const std::string& id, const std::string& client = "", bool include_images = false);

  // Blocks until a request is in this state.
  void WaitForState(const std::string& id, v1::GenerationState state, const std::string& client = "");

  // Blocks until the metrics have `line`.
  void WaitForMetric(const std::string& line) const;

  // A configuration for tests, with `overrides`.
  static v1::ServerConfig Config(const std::vector<std::string>& overrides);

 private:
  StepGate gate_;
  const std::shared_ptr<FakePipelineLog> log_ = std::make_shared<FakePipelineLog>();
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
};

// A request for a small image with few steps.
v1::GenerateRequest SmallRequest(const std::string& prompt = "a red cat");

// All messages of a stream.
std::vector<v1::GenerateEvent> ReadAll(grpc::ClientReader<v1::GenerateEvent>& reader);

// How a streaming call ended.
struct StreamOutcome {
  std::vector<v1::GenerateEvent> events;
  grpc::Status status;
  std::string retry_pushback_ms;  // the trailer; "" when there is none

  // The parts of the image, joined.
  std::string ImageData(int index = 0) const;
};

// A streaming call that is under way. `client` is its x-client-id, "" for none.
class OpenStream {
 public:
  OpenStream(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request,
             const std::string& client = "", absl::Duration timeout = absl::InfiniteDuration());

  // Blocks until the first event of this kind; the events before it are kept for End.
  v1::GenerateEvent WaitFor(v1::GenerateEvent::EventCase kind);
  void Cancel() { context_.TryCancel(); }
  // Reads the rest.
  StreamOutcome End();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader_;
  std::vector<v1::GenerateEvent> events_;
};

// A whole streaming call.
StreamOutcome Stream(TestServer& server, const v1::GenerateRequest& request, const std::string& client = "");

// Metadata for a call of `client`.
void SetClient(const std::string& client, grpc::ClientContext& context);

// The detail of type T in a rich error; an empty one when there is none.
template <typename T>
T Detail(const grpc::Status& status) {
  google::rpc::Status rich;
  rich.ParseFromString(status.error_details());
  T detail;
  for (const auto& any : rich.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return T();
}

}  // namespace kandinsky::server
