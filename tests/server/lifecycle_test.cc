#include <gmock/gmock.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using testing::HasSubstr;

constexpr char kService[] = "kandinsky.v1.ImageGenerationService";

grpc::Status Call(TestServer& server) {
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  return server.stub().GenerateImages(&context, SmallRequest(), &response);
}

TEST(Lifecycle, IsAliveButNotReadyWhileTheModelLoads) {
  StepGate load_gate;
  TestServer server({.load_gate = &load_gate});
  load_gate.WaitForArrivals(1);
  EXPECT_TRUE(server.server().loading());
  EXPECT_EQ(CheckHealth(server.channel(), "liveness"), "SERVING");
  EXPECT_EQ(CheckHealth(server.channel(), ""), "NOT_SERVING");
  EXPECT_EQ(CheckHealth(server.channel(), kService), "NOT_SERVING");
  const grpc::Status status = Call(server);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).reason(), "MODEL_LOADING");
  EXPECT_GT(Detail<google::rpc::RetryInfo>(status).retry_delay().seconds(), 0);
  EXPECT_THAT(server.server().MetricsText(), HasSubstr("kandinsky_ready 0\n"));

  load_gate.Open();
  EXPECT_EQ(server.server().WaitUntilReady(), absl::OkStatus());
  EXPECT_FALSE(server.server().loading());
  EXPECT_EQ(CheckHealth(server.channel(), ""), "SERVING");
  EXPECT_EQ(CheckHealth(server.channel(), kService), "SERVING");
  EXPECT_TRUE(Call(server).ok());
}

TEST(Lifecycle, ReportsALoadError) {
  TestServer server({.load_error = absl::NotFoundError("no unet")});
  EXPECT_EQ(server.server().WaitUntilReady(), absl::NotFoundError("no unet"));
  EXPECT_EQ(CheckHealth(server.channel(), ""), "NOT_SERVING");
}

TEST(Lifecycle, DoesNotKnowTheHealthOfOtherServices) {
  TestServer server;
  EXPECT_EQ(CheckHealth(server.channel(), "other.Service"),
            absl::StrCat("error ", static_cast<int>(grpc::StatusCode::NOT_FOUND)));
}

TEST(Lifecycle, RefusesAPortThatIsInUse) {
  TestServer server({.overrides = {"metrics_address=127.0.0.1:0"}});
  const auto second = Server::Start(TestServer::Config({absl::StrCat("listen_address=", server.address())}),
                                    [] { return LoadedModel(); });
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(server.address()));
  const auto third = Server::Start(
      TestServer::Config({absl::StrCat("metrics_address=127.0.0.1:", server.server().metrics_port())}),
      [] { return LoadedModel(); });
  EXPECT_EQ(third.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(third.status().message(), HasSubstr("metrics_address"));
}

TEST(Lifecycle, RunsWithoutMetricsWhenTheirAddressIsEmpty) {
  TestServer server;
  EXPECT_EQ(server.server().metrics_port(), 0);
  EXPECT_TRUE(Call(server).ok());
}

TEST(Drain, FinishesRunningAndWaitingWorkAndRefusesNewWork) {
  TestServer server({.overrides = {"engine.max_active_generations=1"}, .gated = true});
  grpc::ClientContext running_context;
  const auto running = server.stub().Generate(&running_context, SmallRequest("running"));
  server.gate().WaitForArrivals(1);
  grpc::ClientContext waiting_context;
  const auto waiting = server.stub().Generate(&waiting_context, SmallRequest("waiting"));
  server.WaitForMetric("kandinsky_queue_depth{priority=\"normal\"} 1");

  int cancelled = -1;
  std::thread drain([&] { cancelled = server.server().Drain(); });
  server.WaitForMetric("kandinsky_draining 1");
  // Asks without submitting work: what is accepted in the moment before the refusal would wait at the gate.
  v1::GenerateRequest probe = SmallRequest();
  probe.set_validate_only(true);
  grpc::Status refused;
  while (refused.ok()) {
    grpc::ClientContext context;
    v1::GenerateImagesResponse response;
    refused = server.stub().GenerateImages(&context, probe, &response);
  }
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(refused).reason(), "SHUTTING_DOWN");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Detail<google::rpc::RetryInfo>(refused).has_retry_delay());
  EXPECT_EQ(CheckHealth(server.channel(), ""), "NOT_SERVING");
  EXPECT_EQ(CheckHealth(server.channel(), "liveness"), "SERVING");

  server.gate().Open();
  for (auto* reader : {running.get(), waiting.get()}) {
    EXPECT_TRUE(ReadAll(*reader).back().has_completed());
    EXPECT_TRUE(reader->Finish().ok());
  }
  drain.join();
  EXPECT_EQ(cancelled, 0);
}

TEST(Drain, CancelsWhatExceedsItsBound) {
  TestServer server({.overrides = {"drain.finish_seconds=0.05"}, .gated = true});
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, SmallRequest());
  server.gate().WaitForArrivals(1);
  EXPECT_EQ(server.server().Drain(), 1);
  ReadAll(*reader);
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(status).reason(), "CANCELLED_BY_SHUTDOWN");
}

TEST(Drain, EndsAtItsBoundAlthoughAStepRunsOn) {
  FakeClock clock;
  TestServer server({.overrides = {"drain.finish_seconds=60", "engine.max_active_generations=1"},
                     .gated = true,
                     .clock = &clock});
  OpenStream running(server.stub(), SmallRequest("running"));
  server.gate().WaitForArrivals(1);
  OpenStream waiting(server.stub(), SmallRequest("waiting"));
  server.WaitForMetric("kandinsky_queue_depth{priority=\"normal\"} 1");
  std::thread drain([&] { EXPECT_EQ(server.server().Drain(), 2); });
  while (!server.server().Snapshot().engine.draining) std::this_thread::yield();
  clock.Advance(absl::Seconds(60));
  for (OpenStream* call : {&running, &waiting}) {
    EXPECT_EQ(Detail<google::rpc::ErrorInfo>(call->End().status).reason(), "CANCELLED_BY_SHUTDOWN");
  }
  drain.join();  // without another step, and without more time
  EXPECT_EQ(server.log().steps().size(), 0u);
}

TEST(Drain, StillAcceptsWorkInItsLameDuckTime) {
  // The lame duck time is long, so that the drain is certainly in it; it ends with the fake clock.
  FakeClock clock;
  const auto log = std::make_shared<FakePipelineLog>();
  auto server = Server::Start(
      TestServer::Config({"drain.lame_duck_seconds=60"}), [&log] { return LoadFake({}, log); }, clock);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_EQ((*server)->WaitUntilReady(), absl::OkStatus());
  const auto channel =
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", (*server)->port()), grpc::InsecureChannelCredentials());
  const auto stub = v1::ImageGenerationService::NewStub(channel);
  ASSERT_EQ(CheckHealth(channel, ""), "SERVING");

  std::thread drain([&] { EXPECT_EQ((*server)->Drain(), 0); });
  while (CheckHealth(channel, "") == "SERVING") {
  }
  grpc::ClientContext context;
  v1::GenerateImagesResponse response;
  EXPECT_TRUE(stub->GenerateImages(&context, SmallRequest(), &response).ok());
  clock.Advance(absl::Seconds(60));
  drain.join();
}

TEST(Drain, EndsWhileTheModelStillLoads) {
  StepGate load_gate;
  TestServer server({.load_gate = &load_gate});
  load_gate.WaitForArrivals(1);
  EXPECT_EQ(server.server().Drain(), 0);
  EXPECT_TRUE(server.server().loading());
  load_gate.Open();
}

TEST(Drain, IsNotHeldUpByAnOpenHealthWatch) {
  TestServer server({.overrides = {"drain.finish_seconds=3600"}});
  grpc::GenericStub stub(server.channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto watch = stub.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  void* tag = nullptr;
  bool ok = false;
  watch->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice empty;
  watch->WriteLast(grpc::ByteBuffer(&empty, 1), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer state;
  watch->Read(&state, nullptr);
  queue.Next(&tag, &ok);
  ASSERT_TRUE(ok);  // the watch is open
  EXPECT_EQ(server.server().Drain(), 0);
  while (ok) {  // what the watch was told meanwhile, to its end
    watch->Read(&state, nullptr);
    queue.Next(&tag, &ok);
  }
  grpc::Status status;
  watch->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
}

TEST(Drain, ClosesThePort) {
  TestServer server;
  ASSERT_TRUE(Call(server).ok());
  server.server().Drain();
  EXPECT_EQ(Call(server).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Lifecycle, EndsAtOnceWithWorkInFlight) {
  TestServer server({.gated = true});
  grpc::ClientContext context;
  const auto reader = server.stub().Generate(&context, SmallRequest());
  server.gate().WaitForArrivals(1);
  grpc::Status status;
  std::thread client([&] {
    ReadAll(*reader);
    status = reader->Finish();
    server.gate().Open();  // only now: the running step is the last one
  });
  server.Destroy();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace kandinsky::server
