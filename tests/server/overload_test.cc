#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/raw_rpc.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using Kind = v1::GenerateEvent::EventCase;

std::string Reason(const grpc::Status& status) { return Detail<google::rpc::ErrorInfo>(status).reason(); }

v1::GenerateRequest RawRequest(int size) {
  v1::GenerateRequest request = SmallRequest();
  request.set_width(size);
  request.set_height(size);
  request.mutable_output()->set_format(v1::OUTPUT_FORMAT_RAW_RGB);
  return request;
}

double RetrySeconds(const grpc::Status& status) {
  const auto delay = Detail<google::rpc::RetryInfo>(status).retry_delay();
  return static_cast<double>(delay.seconds()) + delay.nanos() * 1e-9;
}

// A server with room for one raw image of 512 x 512 pixels.
TestServerOptions OneImageInMemory() {
  TestServerOptions options = {.overrides = {"engine.max_inflight_bytes=1048576"}};
  options.pipeline.image_edge = 0;
  return options;
}

TEST(Bytes, OfRequestsInFlightAreBounded) {
  TestServerOptions options = OneImageInMemory();
  options.gated = true;
  TestServer server(options);
  OpenStream first(server.stub(), RawRequest(512));
  server.gate().WaitForArrivals(1);
  EXPECT_GE(server.server().Snapshot().inflight_bytes, 512 * 512 * 3);
  const StreamOutcome refused = Stream(server, RawRequest(512));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(refused.status), "BYTES_IN_FLIGHT");
  EXPECT_EQ(Detail<google::rpc::QuotaFailure>(refused.status).violations(0).subject(),
            "engine.max_inflight_bytes");
  EXPECT_GE(RetrySeconds(refused.status), 0.1);
  v1::GenerateRequest facts = RawRequest(512);
  facts.mutable_output()->set_format(v1::OUTPUT_FORMAT_NONE);  // takes no bytes
  OpenStream second(server.stub(), facts);
  second.WaitFor(Kind::kQueued);
  server.gate().Open();
  EXPECT_TRUE(first.End().status.ok());
  EXPECT_TRUE(second.End().status.ok());
  server.WaitForMetric("kandinsky_inflight_bytes 0");
  EXPECT_TRUE(Stream(server, RawRequest(512)).status.ok());
}

TEST(Bytes, OfARequestThatCanNeverFitPromiseNoRetry) {
  TestServer server(OneImageInMemory());
  const StreamOutcome refused = Stream(server, RawRequest(1024));
  EXPECT_EQ(Reason(refused.status), "BYTES_IN_FLIGHT");
  EXPECT_FALSE(Detail<google::rpc::RetryInfo>(refused.status).has_retry_delay());
  EXPECT_EQ(refused.retry_pushback_ms, "");
}

TEST(Bytes, OfKeptResultsStayWhenTheRequestCanNeverFit) {
  TestServer server(OneImageInMemory());
  v1::GenerateRequest request = RawRequest(512);
  request.set_request_id("a");
  EXPECT_TRUE(Stream(server, request).status.ok());
  EXPECT_EQ(Reason(Stream(server, RawRequest(1024)).status), "BYTES_IN_FLIGHT");
  EXPECT_EQ(server.Get("a").request_id(), "a");
}

TEST(Bytes, OfKeptResultsGiveWayToNewWork) {
  TestServer server(OneImageInMemory());
  v1::GenerateRequest request = RawRequest(512);
  for (const char* id : {"a", "b"}) {
    request.set_request_id(id);
    EXPECT_TRUE(Stream(server, request).status.ok()) << id;
    server.WaitForMetric("kandinsky_inflight_calls 0");
  }
  EXPECT_EQ(server.Get("a").request_id(), "");
  EXPECT_EQ(server.Get("b").request_id(), "b");
}

TEST(Bytes, OfAKeptResultAreThoseThatItReallyTakes) {
  TestServer server;  // images of 8 x 8 pixels
  v1::GenerateRequest request = RawRequest(512);
  request.set_request_id("a");
  ASSERT_TRUE(Stream(server, request).status.ok());
  EXPECT_GT(server.server().Snapshot().inflight_bytes, 8 * 8 * 3);
  EXPECT_LT(server.server().Snapshot().inflight_bytes, 1024);
}

TEST(Overload, EveryRetryDelayIsRepeatedForGrpcsOwnRetries) {
  TestServer server(
      {.overrides = {"engine.max_queued_requests=1", "engine.max_active_generations=1"}, .gated = true});
  OpenStream running(server.stub(), SmallRequest("running"));
  server.gate().WaitForArrivals(1);
  OpenStream waiting(server.stub(), SmallRequest("waiting"));
  waiting.WaitFor(Kind::kQueued);
  const StreamOutcome refused = Stream(server, SmallRequest("excess"));
  EXPECT_EQ(Reason(refused.status), "QUEUE_FULL");
  EXPECT_EQ(Detail<google::rpc::QuotaFailure>(refused.status).violations_size(), 1);
  int pushback = 0;
  ASSERT_TRUE(absl::SimpleAtoi(refused.retry_pushback_ms, &pushback)) << refused.retry_pushback_ms;
  EXPECT_NEAR(pushback, RetrySeconds(refused.status) * 1000, 1.0);
  server.gate().Open();
  EXPECT_EQ(running.End().retry_pushback_ms, "");
  EXPECT_TRUE(waiting.End().status.ok());
}

TEST(Overload, ARequestThatLosesItsPlaceIsToldWhenToRetry) {
  TestServer server(
      {.overrides = {"engine.max_queued_requests=1", "engine.max_active_generations=1"}, .gated = true});
  OpenStream running(server.stub(), SmallRequest("running"));
  server.gate().WaitForArrivals(1);
  v1::GenerateRequest request = SmallRequest("low");
  request.set_priority(v1::PRIORITY_LOW);
  OpenStream low(server.stub(), request);
  low.WaitFor(Kind::kQueued);
  request = SmallRequest("high");
  request.set_priority(v1::PRIORITY_HIGH);
  OpenStream high(server.stub(), request);
  const StreamOutcome shed = low.End();
  EXPECT_EQ(shed.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Reason(shed.status), "SHED");
  EXPECT_GE(RetrySeconds(shed.status), 0.1);
  EXPECT_NE(shed.retry_pushback_ms, "");
  server.gate().Open();
  EXPECT_TRUE(running.End().status.ok());
  EXPECT_TRUE(high.End().status.ok());
}

TEST(Overload, ALostWorkerMakesTheServerNotReadyUntilItIsBack) {
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
  const StreamOutcome lost = Stream(server, SmallRequest("bad"));
  EXPECT_EQ(lost.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Reason(lost.status), "WORKER_LOST");
  EXPECT_NE(lost.retry_pushback_ms, "");
  while (CheckHealth(server.channel(), "") != "NOT_SERVING") std::this_thread::yield();
  EXPECT_EQ(CheckHealth(server.channel(), "liveness"), "SERVING");
  const grpc::Status refused = Stream(server, SmallRequest()).status;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Reason(refused), "NO_WORKER");
  EXPECT_FALSE(server.server().Snapshot().ready);
  restarts.Open();
  while (CheckHealth(server.channel(), "") != "SERVING") clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(Stream(server, SmallRequest()).status.ok());
}

// Streams of raw images that nobody reads.
class SlowReader : public testing::Test {
 protected:
  static TestServerOptions Options(Clock& clock, std::vector<std::string> overrides = {}) {
    TestServerOptions options = {.overrides = std::move(overrides), .clock = &clock};
    options.pipeline.image_edge = 0;
    return options;
  }

  static std::unique_ptr<v1::ImageGenerationService::Stub> StubWithSmallWindow(const TestServer& server) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    return v1::ImageGenerationService::NewStub(server.NewChannel(arguments));
  }

  static v1::GenerateRequest LargeRequest() {
    v1::GenerateRequest request = RawRequest(1024);
    request.set_image_count(2);
    return request;
  }
};

TEST_F(SlowReader, LosesItsCallAtTheDeadlineAndTheImagesWithIt) {
  FakeClock clock;
  TestServer server(Options(clock));
  const auto stub = StubWithSmallWindow(server);
  OpenStream call(*stub, LargeRequest());
  server.WaitForMetric("kandinsky_images_total{format=\"raw_rgb\"} 2");
  EXPECT_GE(server.server().Snapshot().inflight_bytes, 2 * 1024 * 1024 * 3);
  EXPECT_EQ(server.server().Snapshot().live_calls, 1);
  clock.Advance(absl::Seconds(120));  // the default deadline
  while (server.server().Snapshot().live_calls > 0) clock.Advance(absl::Milliseconds(1));  // the grace
  server.WaitForMetric("kandinsky_inflight_bytes 0");
  EXPECT_FALSE(call.End().status.ok());
}

// The worst case: work that does not end, and a client that does not read what it got.
TEST_F(SlowReader, CannotMoveTheEndOfADrainBeyondFourSecondsAfterItsBound) {
  FakeClock clock;
  TestServerOptions options = Options(
      clock, {"drain.finish_seconds=60", "engine.max_batch_rows=1", "engine.max_active_generations=1"});
  options.gated = true;
  TestServer server(options);
  const auto stub = StubWithSmallWindow(server);
  OpenStream call(*stub, LargeRequest());
  server.gate().Allow(1 + 3 + 4 + 1);  // all steps of one image
  server.WaitForMetric("kandinsky_images_total{format=\"raw_rgb\"} 1");
  server.gate().WaitForArrivals(1 + 3 + 4 + 1 + 1);
  std::thread drain([&] { EXPECT_EQ(server.server().Drain(), 1); });
  while (!server.server().Snapshot().engine.draining) std::this_thread::yield();
  clock.Advance(absl::Seconds(60));
  clock.Advance(absl::Seconds(4));
  drain.join();
  EXPECT_FALSE(call.End().status.ok());
}

TEST_F(SlowReader, DoesNotHoldUpADrainOnceTheWorkIsDone) {
  TestServer server(Options(Clock::Real(), {"drain.finish_seconds=3600"}));
  const auto stub = StubWithSmallWindow(server);
  OpenStream call(*stub, LargeRequest());
  server.WaitForMetric("kandinsky_images_total{format=\"raw_rgb\"} 2");
  EXPECT_EQ(server.server().Drain(), 0);  // would last an hour if it waited for the reader
  EXPECT_FALSE(call.End().status.ok());
}

}  // namespace
}  // namespace kandinsky::server
