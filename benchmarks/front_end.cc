// Requests per second and latency of the whole front end (validation, engine, worker, reply) with a pipeline
// that computes nothing, against a bare gRPC callback handler of the same method in the same process. The two
// are measured in turns. Prints one JSON object.
//
// Usage: front_end --calls 20000 --outstanding 8 --rounds 3
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/logging.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/config.h"
#include "server/server.h"
#include "tests/fakes/fake_pipeline.h"

namespace kandinsky::server {
namespace {

using SteadyClock = std::chrono::steady_clock;

// The least a gRPC callback server can do for this method.
class EchoService final : public v1::ImageGenerationService::CallbackService {
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* context, const v1::GenerateRequest*,
                                           v1::GenerateImagesResponse*) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

struct LoadOptions {
  int calls = 20000;
  int outstanding = 8;
  int rounds = 3;
};

struct LoadResult {
  double requests_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  int failures = 0;
};

// A closed loop of `outstanding` calls over the callback client, no thread of its own per call.
class ClosedLoop {
 public:
  ClosedLoop(int port, const LoadOptions& options) : options_(options) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::ImageGenerationService::NewStub(grpc::CreateCustomChannel(
        "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials(), arguments));
    request_.set_prompt("red cat, 4k photo");
    request_.set_width(64);
    request_.set_height(64);
    request_.set_steps(1);
    request_.set_prior_steps(2);
    request_.set_seed(1);
    request_.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);
  }

  LoadResult Run() {
    latencies_us_.reserve(static_cast<size_t>(options_.calls));
    const auto start = SteadyClock::now();
    for (int i = 0; i < options_.outstanding; ++i) Next();
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return finished_ == options_.calls; });
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
    std::sort(latencies_us_.begin(), latencies_us_.end());
    return {options_.calls / seconds, latencies_us_[latencies_us_.size() / 2],
            latencies_us_[latencies_us_.size() * 99 / 100], failures_};
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::GenerateImagesResponse response;
    SteadyClock::time_point start;
  };

  // Whether there is one more call to start; counts it.
  bool TakeCall() {
    const std::lock_guard lock(mutex_);
    if (started_ == options_.calls) return false;
    ++started_;
    return true;
  }

  void Next() {
    if (!TakeCall()) return;
    auto call = std::make_shared<Call>();
    call->start = SteadyClock::now();
    stub_->async()->GenerateImages(&call->context, &request_, &call->response,
                                   [this, call](const grpc::Status& status) { Finish(*call, status.ok()); });
  }

  void Finish(const Call& call, bool ok) {
    const double us = std::chrono::duration<double, std::micro>(SteadyClock::now() - call.start).count();
    {
      const std::lock_guard lock(mutex_);
      latencies_us_.push_back(us);
      failures_ += ok ? 0 : 1;
    }
    Next();
    // Last, under the lock: Run() may return and destroy this object as soon as all calls are counted.
    const std::lock_guard lock(mutex_);
    if (++finished_ == options_.calls) done_.notify_all();
  }

  const LoadOptions options_;
  std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
  v1::GenerateRequest request_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<double> latencies_us_;
  int started_ = 0;
  int finished_ = 0;
  int failures_ = 0;
};

v1::ServerConfig BenchmarkConfig() {
  v1::ServerConfig config;
  config.set_listen_address("127.0.0.1:0");
  config.set_metrics_address("");
  config.mutable_model()->set_name("null");
  config.mutable_model()->set_path("unused");
  config.mutable_model()->set_prior_path("unused");
  config.mutable_drain()->set_lame_duck_seconds(0);
  return WithDefaults(config);
}

int Run(const LoadOptions& options) {
  FakePipelineOptions pipeline;
  pipeline.capabilities.model_name = "null";
  auto server = Server::Start(BenchmarkConfig(), [&] { return LoadFake(pipeline); });
  if (!server.ok() || !(*server)->WaitUntilReady().ok()) {
    std::fprintf(stderr, "the server did not start\n");
    return 1;
  }
  EchoService echo_service;
  int echo_port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &echo_port);
  builder.RegisterService(&echo_service);
  const std::unique_ptr<grpc::Server> echo = builder.BuildAndStart();

  LoadResult ours;
  LoadResult bare;
  for (int round = 0; round < options.rounds; ++round) {
    const LoadResult a = ClosedLoop((*server)->port(), options).Run();
    const LoadResult b = ClosedLoop(echo_port, options).Run();
    if (a.failures + b.failures > 0) {
      std::fprintf(stderr, "%d calls failed\n", a.failures + b.failures);
      return 1;
    }
    if (a.requests_per_second > ours.requests_per_second) ours = a;
    if (b.requests_per_second > bare.requests_per_second) bare = b;
  }
  std::printf(
      "{\"server_rps\": %.0f, \"server_p50_us\": %.1f, \"server_p99_us\": %.1f, \"echo_rps\": %.0f, "
      "\"echo_p50_us\": %.1f, \"echo_p99_us\": %.1f, \"calls\": %d, \"outstanding\": %d}\n",
      ours.requests_per_second, ours.p50_us, ours.p99_us, bare.requests_per_second, bare.p50_us, bare.p99_us,
      options.calls, options.outstanding);
  return 0;
}

}  // namespace
}  // namespace kandinsky::server

int main(int argc, char** argv) try {
  CLI::App app("Front-end overhead against a bare gRPC callback handler");
  kandinsky::server::LoadOptions options;
  app.add_option("--calls", options.calls, "Calls of one measurement")->check(CLI::Range(100, 10000000));
  app.add_option("--outstanding", options.outstanding, "Calls in flight")->check(CLI::Range(1, 1000));
  app.add_option("--rounds", options.rounds, "Measurements of each; the best counts")
      ->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);
  kandinsky::ConfigureLogging(kandinsky::LogFormat::kJson, kandinsky::LogLevel::kError);
  return kandinsky::server::Run(options);
} catch (const std::exception& error) {
  std::fprintf(stderr, "front_end: %s\n", error.what());
  return 1;
}
