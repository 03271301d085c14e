// What streaming a progress message costs: one image with a pipeline whose steps only let time pass, once as
// a stream, where every step makes a progress message, and once as a unary call, where none does. The client
// reads in the same process. The two are measured in turns; told is the processor time of a message, the
// client's part included. Prints one JSON object.
//
// Usage: progress_stream --steps 1000 --step_us 200 --rounds 10
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#include "base/logging.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/config.h"
#include "server/server.h"
#include "tests/fakes/fake_pipeline.h"

namespace kandinsky {
namespace {

double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Measurement {
  double cpu_seconds = 0;
  int progress = 0;  // messages that arrived; the others were merged
  bool ok = false;
};

Measurement Stream(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request) {
  Measurement measured;
  grpc::ClientContext context;
  const double cpu_start = CpuSeconds();
  const auto reader = stub.Generate(&context, request);
  v1::GenerateEvent event;
  while (reader->Read(&event)) measured.progress += event.has_progress() ? 1 : 0;
  measured.ok = reader->Finish().ok();
  measured.cpu_seconds = CpuSeconds() - cpu_start;
  return measured;
}

Measurement Unary(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request) {
  Measurement measured;
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  const double cpu_start = CpuSeconds();
  measured.ok = stub.GenerateImages(&context, request, &response).ok();
  measured.cpu_seconds = CpuSeconds() - cpu_start;
  return measured;
}

v1::ServerConfig BenchmarkConfig() {
  v1::ServerConfig config;
  config.set_listen_address("127.0.0.1:0");
  config.set_metrics_address("");
  config.mutable_model()->set_name("null");
  config.mutable_model()->set_path("unused");
  config.mutable_drain()->set_lame_duck_seconds(0);
  return WithDefaults(config);
}

int Main(int argc, char** argv) {
  CLI::App app("The cost of streaming a progress message");
  int steps = 1000;
  int step_us = 200;
  int rounds = 10;
  app.add_option("--steps", steps, "Denoise steps of a call")->check(CLI::Range(10, 1000));
  app.add_option("--step_us", step_us, "Duration of a step")->check(CLI::Range(1, 100000));
  app.add_option("--rounds", rounds, "Calls of each kind; the best counts")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  ConfigureLogging(LogFormat::kJson, LogLevel::kError);
  FakePipelineOptions pipeline;
  pipeline.on_step = [step_us](const FakeStep&) {
    std::this_thread::sleep_for(std::chrono::microseconds(step_us));
  };
  auto server = Server::Start(BenchmarkConfig(), [&]() -> absl::StatusOr<std::vector<PipelineFactory>> {
    return std::vector<PipelineFactory>{[pipeline] { return std::make_unique<FakePipeline>(pipeline); }};
  });
  if (!server.ok() || !(*server)->WaitUntilReady().ok()) return 1;
  const auto stub = v1::ImageGenerationService::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string((*server)->port()), grpc::InsecureChannelCredentials()));
  v1::GenerateRequest request;
  request.set_prompt("red cat, 4k photo");
  request.set_width(64);
  request.set_height(64);
  request.set_steps(steps);
  request.set_prior_steps(2);
  request.set_seed(1);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);

  Measurement stream;
  Measurement unary;
  for (int round = 0; round < rounds; ++round) {
    const Measurement a = Stream(*stub, request);
    const Measurement b = Unary(*stub, request);
    if (!a.ok || !b.ok) return 1;
    if (round == 0 || a.cpu_seconds < stream.cpu_seconds) stream = a;
    if (round == 0 || b.cpu_seconds < unary.cpu_seconds) unary = b;
  }
  const double messages = std::max(1, stream.progress);
  std::printf("{\"cpu_us_per_message\": %.2f, \"messages_per_step\": %.2f}\n",
              1e6 * (stream.cpu_seconds - unary.cpu_seconds) / messages, messages / steps);
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) {
  try {
    return kandinsky::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
