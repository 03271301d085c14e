// What a progress message costs the server: processor time of the server's process for streams of progress
// messages, less that for the same steps without them, divided by the messages that arrived. The client is
// another process; its calls run at once, in one batch. The peer, in a process of its own, is a bare gRPC
// callback handler that writes equal messages from a thread that takes equal steps. The two are measured in
// turns. Of ours also the part of the worker's thread is told, which is what a message delays the next step
// by. Prints one JSON object.
//
// Usage: progress_stream --streams 1 --steps 100 --step_us 2000 --rounds 30
#include <grpcpp/grpcpp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/logging.h"
#include "base/mutex.h"
#include "kandinsky/v1/image_generation.grpc.pb.h"
#include "server/config.h"
#include "server/server.h"
#include "tests/fakes/fake_pipeline.h"

namespace kandinsky::server {
namespace {

struct BenchmarkOptions {
  int streams = 1;     // calls at once
  int steps = 100;     // denoise steps of a call
  int step_us = 2000;  // duration of a step
  int rounds = 30;     // calls of each kind; the least counts
};

void TakeStep(int step_us) { std::this_thread::sleep_for(std::chrono::microseconds(step_us)); }

// The least that a gRPC callback server can do to stream progress: a thread takes the steps, and what it has
// to tell while a write is under way is told by the next one.
class BareStream final : public grpc::ServerWriteReactor<v1::GenerateEvent> {
 public:
  BareStream(const v1::GenerateRequest& request, int step_us)
      : steps_(request.steps()), thread_([this, step_us] { Run(step_us); }) {}
  ~BareStream() override { thread_.join(); }

  void OnWriteDone(bool /*ok*/) override EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    write_under_way_ = false;
    Advance();
  }
  void OnDone() override {
    std::thread([this] { delete this; }).detach();  // joins a thread, which a reaction must not
  }

 private:
  void Run(int step_us) EXCLUDES(mutex_) {
    for (int step = 1; step <= steps_; ++step) {
      TakeStep(step_us);
      MutexLock lock(mutex_);
      done_steps_ = step;
      Advance();
    }
  }

  void Advance() REQUIRES(mutex_) {
    if (write_under_way_) return;
    if (told_steps_ == done_steps_) {
      if (done_steps_ == steps_) Finish(grpc::Status::OK);
      return;
    }
    told_steps_ = done_steps_;
    v1::ProgressEvent& progress = *event_.mutable_progress();
    progress.set_stage(v1::STAGE_DENOISE);
    progress.set_step(told_steps_);
    progress.set_total_steps(steps_);
    progress.set_batch_rows(1);
    progress.mutable_estimated_remaining()->set_nanos(1000000 * (steps_ - told_steps_));
    write_under_way_ = true;
    StartWrite(&event_);
  }

  const int steps_;
  Mutex mutex_;
  v1::GenerateEvent event_ GUARDED_BY(mutex_);
  bool write_under_way_ GUARDED_BY(mutex_) = false;
  int done_steps_ GUARDED_BY(mutex_) = 0;
  int told_steps_ GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

class BareService final : public v1::ImageGenerationService::CallbackService {
 public:
  explicit BareService(int step_us) : step_us_(step_us) {}

 private:
  grpc::ServerWriteReactor<v1::GenerateEvent>* Generate(grpc::CallbackServerContext*,
                                                        const v1::GenerateRequest* request) override {
    return new BareStream(*request, step_us_);
  }
  grpc::ServerUnaryReactor* GenerateImages(grpc::CallbackServerContext* context,
                                           const v1::GenerateRequest* request,
                                           v1::GenerateImagesResponse*) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    std::thread([reactor, steps = request->steps(), step_us = step_us_] {
      for (int step = 0; step < steps; ++step) TakeStep(step_us);
      reactor->Finish(grpc::Status::OK);
    }).detach();
    return reactor;
  }

  const int step_us_;
};

// Each serves until `wait_for_end` returns, after it has told its port.
using TellPort = std::function<void(int)>;
using WaitForEnd = std::function<void()>;

void ServeBare(int step_us, const TellPort& tell_port, const WaitForEnd& wait_for_end) {
  BareService service(step_us);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  tell_port(port);
  wait_for_end();
}

void ServeOurs(int step_us, const TellPort& tell_port, const WaitForEnd& wait_for_end) {
  v1::ServerConfig config;
  config.set_listen_address("127.0.0.1:0");
  config.set_metrics_address("");
  config.mutable_model()->set_name("null");
  config.mutable_model()->set_path("unused");
  config.mutable_drain()->set_lame_duck_seconds(0);
  FakePipelineOptions pipeline;
  pipeline.on_step = [step_us](const FakeStep&) { TakeStep(step_us); };
  auto server = Server::Start(WithDefaults(config), [&] { return LoadFake(pipeline); });
  const bool ready = server.ok() && (*server)->WaitUntilReady().ok();
  tell_port(ready ? (*server)->port() : 0);
  wait_for_end();
}

// A server in a process of its own, and a client for it here. Made before anything here has used gRPC, which
// does not survive a fork.
class ServerProcess {
 public:
  using Serve = std::function<void(const TellPort&, const WaitForEnd&)>;

  explicit ServerProcess(const Serve& serve) {
    int told[2];
    int ending[2];
    if (pipe(told) != 0 || pipe(ending) != 0) throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      close(ending[1]);
      serve([&](int port) { (void)!write(told[1], &port, sizeof port); },
            [&] {
              char end = 0;
              (void)!read(ending[0], &end, 1);  // returns when the other process has closed its side
            });
      std::_Exit(0);
    }
    close(told[1]);
    close(ending[0]);
    told_ = told[0];
    ending_ = ending[1];
  }
  ~ServerProcess() {
    close(ending_);
    waitpid(process_, nullptr, 0);
    close(told_);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Waits until it is ready; false when it is not going to be.
  bool Connect() {
    int port = 0;
    if (read(told_, &port, sizeof port) != sizeof port || port == 0) return false;
    stub_ = v1::ImageGenerationService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
    return true;
  }

  v1::ImageGenerationService::Stub& stub() { return *stub_; }

  // Processor time that it has used.
  double CpuSeconds() const {
    clockid_t clock{};
    timespec now{};
    if (clock_getcpuclockid(process_, &clock) != 0 || clock_gettime(clock, &now) != 0) {
      throw std::runtime_error("no processor time");
    }
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  // Processor time that its threads of that name have used.
  double ThreadSeconds(const std::string& name) const {
    double seconds = 0;
    const std::filesystem::path tasks = "/proc/" + std::to_string(process_) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      std::string found;
      double nanoseconds = 0;
      std::ifstream(task.path() / "comm") >> found;
      std::ifstream(task.path() / "schedstat") >> nanoseconds;
      if (found == name) seconds += 1e-9 * nanoseconds;
    }
    return seconds;
  }

 private:
  pid_t process_ = 0;
  int told_ = -1;
  int ending_ = -1;
  std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
};

// Processor time in seconds, the least of all rounds.
struct Cost {
  double process = 1e9;
  double worker = 1e9;
  int messages = 0;

  void Keep(double process_seconds, double worker_seconds) {
    process = std::min(process, process_seconds);
    worker = std::min(worker, worker_seconds);
  }
};

// The cost of the steps alone, and with a stream.
struct Costs {
  Cost silent;
  Cost streamed;

  double ProcessUsPerMessage() const { return 1e6 * (streamed.process - silent.process) / streamed.messages; }
  double WorkerUsPerMessage() const { return 1e6 * (streamed.worker - silent.worker) / streamed.messages; }
};

// Runs `call` and keeps what it cost the server.
void Measure(const ServerProcess& server, Cost& cost, const std::function<void()>& call) {
  const double worker_start = server.ThreadSeconds("worker-0");
  const double start = server.CpuSeconds();
  call();
  cost.Keep(server.CpuSeconds() - start, server.ThreadSeconds("worker-0") - worker_start);
}

// Runs `call`, which returns how many progress messages came or throws, `count` times at once. All of them.
int CallAtOnce(int count, const std::function<int()>& call) {
  std::vector<std::future<int>> calls;
  calls.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) calls.push_back(std::async(std::launch::async, call));
  int messages = 0;
  for (std::future<int>& one : calls) messages += one.get();
  return messages;
}

// The calls once without streams and once with.
void MeasureBoth(ServerProcess& server, const v1::GenerateRequest& request, int streams, Costs& costs) {
  Measure(server, costs.silent, [&] {
    CallAtOnce(streams, [&] {
      grpc::ClientContext context;
      v1::GenerateImagesResponse response;
      if (!server.stub().GenerateImages(&context, request, &response).ok()) {
        throw std::runtime_error("a call failed");
      }
      return 0;
    });
  });
  Measure(server, costs.streamed, [&] {
    costs.streamed.messages = CallAtOnce(streams, [&] {
      grpc::ClientContext context;
      const auto reader = server.stub().Generate(&context, request);
      v1::GenerateEvent event;
      int messages = 0;
      while (reader->Read(&event)) messages += event.has_progress() ? 1 : 0;
      if (!reader->Finish().ok()) throw std::runtime_error("a stream failed");
      return messages;
    });
  });
}

int Run(const BenchmarkOptions& options) {
  ServerProcess bare(
      [&](const TellPort& tell, const WaitForEnd& wait) { ServeBare(options.step_us, tell, wait); });
  ServerProcess ours(
      [&](const TellPort& tell, const WaitForEnd& wait) { ServeOurs(options.step_us, tell, wait); });
  if (!bare.Connect() || !ours.Connect()) return 1;
  v1::GenerateRequest request;
  request.set_prompt("red cat, 4k photo");
  request.set_width(64);
  request.set_height(64);
  request.set_steps(options.steps);
  request.set_prior_steps(2);
  request.set_seed(1);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);
  Costs our_costs;
  Costs bare_costs;
  for (int round = 0; round < options.rounds; ++round) {
    MeasureBoth(ours, request, options.streams, our_costs);
    MeasureBoth(bare, request, options.streams, bare_costs);
  }
  std::printf(
      "{\"server_us_per_message\": %.2f, \"bare_us_per_message\": %.2f, \"worker_us_per_message\": %.2f, "
      "\"messages_per_step\": %.2f}\n",
      our_costs.ProcessUsPerMessage(), bare_costs.ProcessUsPerMessage(), our_costs.WorkerUsPerMessage(),
      static_cast<double>(our_costs.streamed.messages) / (options.streams * request.steps()));
  return 0;
}

}  // namespace
}  // namespace kandinsky::server

int main(int argc, char** argv) try {
  CLI::App app("The cost of streaming a progress message");
  kandinsky::server::BenchmarkOptions options;
  app.add_option("--streams", options.streams, "Calls at once, in one batch")->check(CLI::Range(1, 8));
  app.add_option("--steps", options.steps, "Denoise steps of a call")->check(CLI::Range(10, 1000));
  app.add_option("--step_us", options.step_us, "Duration of a step")->check(CLI::Range(1, 100000));
  app.add_option("--rounds", options.rounds, "Calls of each kind; the least counts")
      ->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  kandinsky::ConfigureLogging(kandinsky::LogFormat::kJson, kandinsky::LogLevel::kError);
  return kandinsky::server::Run(options);
} catch (const std::exception& error) {
  std::fprintf(stderr, "progress_stream: %s\n", error.what());
  return 1;
}
