#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/fake_clock.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

using Kind = v1::GenerateEvent::EventCase;

constexpr char kCancelled[] =
    "kandinsky_requests_total{code=\"CANCELLED\",method=\"Generate\",reason=\"CANCELLED_BY_CLIENT\"} 1";

v1::GenerateRequest RequestWithId(const std::string& id = "twin") {
  v1::GenerateRequest request = SmallRequest();
  request.set_request_id(id);
  return request;
}

std::string Reason(const grpc::Status& status) { return Detail<google::rpc::ErrorInfo>(status).reason(); }

grpc::Status CallUnary(TestServer& server, const v1::GenerateRequest& request,
                       v1::GenerateImagesResponse* response) {
  grpc::ClientContext context;
  return server.stub().GenerateImages(&context, request, response);
}

TEST(Idempotency, ASecondCallJoinsTheRunningRequest) {
  TestServer server({.gated = true});
  OpenStream first(server.stub(), RequestWithId());
  server.gate().WaitForArrivals(1);
  OpenStream second(server.stub(), RequestWithId());
  second.WaitFor(Kind::kStarted);  // it learns at once that the work has begun
  server.gate().Open();
  const StreamOutcome a = first.End();
  const StreamOutcome b = second.End();
  EXPECT_TRUE(a.status.ok());
  EXPECT_TRUE(b.status.ok());
  EXPECT_EQ(a.ImageData(), b.ImageData());
  EXPECT_FALSE(a.ImageData().empty());
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Idempotency, AJoiningCallGetsTheImagesThatAreDoneAndThenTheOthers) {
  TestServer server(
      {.overrides = {"engine.max_batch_rows=1", "engine.max_active_generations=1"}, .gated = true});
  v1::GenerateRequest request = RequestWithId();
  request.set_image_count(2);
  OpenStream first(server.stub(), request);
  server.gate().Allow(1 + 3 + 4 + 1);  // all steps of one image
  first.WaitFor(Kind::kImage);
  server.gate().WaitForArrivals(10);
  OpenStream second(server.stub(), request);
  EXPECT_EQ(second.WaitFor(Kind::kImage).image().index(), 0);
  server.gate().Open();
  const StreamOutcome outcome = second.End();
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.events.front().event_case(), Kind::kStarted);
  EXPECT_FALSE(outcome.ImageData(0).empty());
  EXPECT_FALSE(outcome.ImageData(1).empty());
  EXPECT_EQ(first.End().ImageData(0), outcome.ImageData(0));
  EXPECT_EQ(server.log().admitted(), 2);
}

TEST(Idempotency, ACallAfterTheEndGetsTheSameAnswerAgain) {
  TestServer server;
  v1::GenerateRequest request = RequestWithId();
  request.clear_seed();
  const StreamOutcome first = Stream(server, request);
  const StreamOutcome again = Stream(server, request);
  ASSERT_TRUE(again.status.ok());
  EXPECT_EQ(again.ImageData(), first.ImageData());
  EXPECT_EQ(again.events.back().completed().SerializeAsString(),
            first.events.back().completed().SerializeAsString());  // the drawn seed, the timings
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Idempotency, StreamingAndUnaryCallsJoinEachOther) {
  TestServer server;
  v1::GenerateImagesResponse response;
  ASSERT_TRUE(CallUnary(server, RequestWithId("a"), &response).ok());
  EXPECT_EQ(Stream(server, RequestWithId("a")).ImageData(), response.images(0).data());

  const StreamOutcome streamed = Stream(server, RequestWithId("b"));
  ASSERT_TRUE(CallUnary(server, RequestWithId("b"), &response).ok());
  EXPECT_EQ(response.images(0).data(), streamed.ImageData());
  EXPECT_EQ(response.summary().seeds(0), 7u);
  EXPECT_EQ(server.log().admitted(), 2);
}

TEST(Idempotency, AnotherBodyWithTheIdIsRefusedWhileItRunsAndWhileItIsKept) {
  TestServer server({.gated = true});
  OpenStream first(server.stub(), RequestWithId());
  server.gate().WaitForArrivals(1);
  v1::GenerateRequest other = RequestWithId();
  other.set_seed(8);
  for (int i = 0; i < 2; ++i) {
    const grpc::Status status = Stream(server, other).status;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
    EXPECT_EQ(Reason(status), "REQUEST_ID_IN_USE");
    EXPECT_EQ(Detail<google::rpc::ResourceInfo>(status).resource_name(), "twin");
    server.gate().Open();
    EXPECT_TRUE(i > 0 || first.End().status.ok());
  }
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Idempotency, ACheckSeesTheIdsInUseAndTakesNone) {
  TestServer server({.gated = true});
  v1::GenerateRequest check = RequestWithId();
  check.set_validate_only(true);
  EXPECT_TRUE(Stream(server, check).status.ok());
  EXPECT_EQ(server.Get("twin").request_id(), "");  // it made nothing

  OpenStream first(server.stub(), RequestWithId());
  server.gate().WaitForArrivals(1);
  EXPECT_TRUE(Stream(server, check).status.ok());  // the same request
  check.set_seed(8);
  EXPECT_EQ(Stream(server, check).status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  server.gate().Open();
  EXPECT_TRUE(first.End().status.ok());
}

TEST(Idempotency, ClientsHaveTheirOwnIds) {
  TestServer server({.gated = true});
  OpenStream alices(server.stub(), RequestWithId(), "alice");
  server.gate().WaitForArrivals(1);
  v1::GenerateRequest other = RequestWithId();
  other.set_seed(8);
  OpenStream bobs(server.stub(), other, "bob");
  bobs.WaitFor(Kind::kQueued);
  EXPECT_EQ(server.Get("twin", "bob").client_id(), "bob");
  EXPECT_EQ(server.Get("twin").request_id(), "");
  server.gate().Open();
  const StreamOutcome a = alices.End();
  const StreamOutcome b = bobs.End();
  EXPECT_TRUE(a.status.ok());
  EXPECT_TRUE(b.status.ok());
  EXPECT_NE(a.ImageData(), b.ImageData());
}

TEST(Idempotency, AFailedRequestRunsAgain) {
  TestServerOptions options;
  options.pipeline.prompts_without_result = {"bad"};
  TestServer server(options);
  v1::GenerateRequest request = SmallRequest("bad");
  request.set_request_id("twin");
  EXPECT_EQ(Stream(server, request).status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Stream(server, request).status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(server.log().admitted(), 2);
  EXPECT_TRUE(Stream(server, RequestWithId()).status.ok());  // its id is free for another body, too
}

TEST(Idempotency, ARequestWhoseIdWasDrawnIsForgottenAtItsEnd) {
  TestServer server;
  const StreamOutcome outcome = Stream(server, SmallRequest());
  const std::string id = outcome.events.front().queued().request_id();
  EXPECT_EQ(server.Get(id).request_id(), "");
  server.WaitForMetric("kandinsky_inflight_calls 0");
  EXPECT_EQ(server.server().Snapshot().inflight_bytes, 0);
}

TEST(Idempotency, NothingIsKeptWhenTheTimeToKeepIsZero) {
  TestServer server({.overrides = {"results.keep_seconds=0"}});
  EXPECT_TRUE(Stream(server, RequestWithId()).status.ok());
  EXPECT_EQ(server.Get("twin").request_id(), "");
  EXPECT_TRUE(Stream(server, RequestWithId()).status.ok());
  EXPECT_EQ(server.log().admitted(), 2);
}

TEST(Idempotency, AResultIsForgottenWhenItsTimeIsOver) {
  FakeClock clock;
  TestServer server({.clock = &clock});
  EXPECT_TRUE(Stream(server, RequestWithId()).status.ok());
  EXPECT_EQ(server.server().Snapshot().kept_results, 1);
  EXPECT_GT(server.server().Snapshot().inflight_bytes, 0);
  clock.Advance(absl::Seconds(300));
  EXPECT_EQ(server.server().Snapshot().kept_results, 0);
  server.WaitForMetric("kandinsky_inflight_bytes 0");
}

TEST(Idempotency, TheWorkGoesOnForTheOtherCallWhenOneLeaves) {
  TestServer server({.gated = true});
  OpenStream first(server.stub(), RequestWithId());
  server.gate().WaitForArrivals(1);
  OpenStream second(server.stub(), RequestWithId());
  second.WaitFor(Kind::kStarted);
  first.Cancel();
  server.WaitForMetric(kCancelled);
  server.gate().Open();
  EXPECT_EQ(first.End().status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(second.End().status.ok());
}

TEST(Idempotency, JoinedCallExtendsTheDeadlineOfTheWork) {
  FakeClock clock;
  TestServer server({.gated = true, .clock = &clock});
  OpenStream first(server.stub(), RequestWithId());
  first.WaitFor(Kind::kStarted);
  server.WaitForMetric(
      "kandinsky_preparing_requests 0");  // the submission has returned, and extensions count at once
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(60));
  OpenStream second(server.stub(), RequestWithId());
  second.WaitFor(Kind::kStarted);
  clock.Advance(absl::Seconds(60));  // the first call's deadline
  const StreamOutcome outcome = first.End();
  EXPECT_EQ(Reason(outcome.status), "DEADLINE_EXCEEDED");
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(outcome.status).metadata().at("phase"), "running");
  EXPECT_EQ(server.Get("twin").state(), v1::GENERATION_STATE_RUNNING);
  server.gate().Open();
  EXPECT_TRUE(second.End().status.ok());
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Idempotency, TheWorkEndsAtTheLatestDeadlineOfItsCalls) {
  FakeClock clock;
  TestServer server({.gated = true, .clock = &clock});
  OpenStream first(server.stub(), RequestWithId());
  first.WaitFor(Kind::kStarted);
  server.WaitForMetric("kandinsky_preparing_requests 0");
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(60));
  OpenStream second(server.stub(), RequestWithId());
  second.WaitFor(Kind::kStarted);
  clock.Advance(absl::Seconds(120));  // the second call's deadline
  EXPECT_EQ(Reason(second.End().status), "DEADLINE_EXCEEDED");
  EXPECT_EQ(Reason(first.End().status), "DEADLINE_EXCEEDED");
  server.gate().Open();
  EXPECT_TRUE(Stream(server, SmallRequest("next")).status.ok());
  EXPECT_EQ(server.log().StepsOf("a red cat"), 1);
}

TEST(Idempotency, TheIdOfACancelledRequestIsFreeAtOnce) {
  TestServer server({.gated = true});
  OpenStream first(server.stub(), RequestWithId());
  server.gate().WaitForArrivals(1);
  first.Cancel();
  server.WaitForMetric(kCancelled);
  v1::GenerateRequest other = RequestWithId();
  other.set_seed(8);
  OpenStream second(server.stub(), other);  // the step of the first still runs
  second.WaitFor(Kind::kQueued);
  server.gate().Open();
  EXPECT_TRUE(second.End().status.ok());
}

TEST(Detach, TheWorkGoesOnWithoutAListenerAndTheResultIsKept) {
  TestServer server({.gated = true});
  v1::GenerateRequest request = RequestWithId("job");
  request.set_detach(true);
  OpenStream call(server.stub(), request);
  server.gate().WaitForArrivals(1);
  call.Cancel();
  server.WaitForMetric(kCancelled);
  EXPECT_EQ(server.Get("job").state(), v1::GENERATION_STATE_RUNNING);
  EXPECT_TRUE(server.Get("job").detached());
  server.gate().Open();
  server.WaitForState("job", v1::GENERATION_STATE_SUCCEEDED);
  const v1::Generation generation = server.Get("job", "", /*include_images=*/true);
  ASSERT_EQ(generation.images_size(), 1);
  EXPECT_EQ(Stream(server, request).ImageData(), generation.images(0).data());
  EXPECT_EQ(server.log().admitted(), 1);
}

TEST(Detach, TheWorkOutlivesTheDeadlineOfItsCall) {
  FakeClock clock;
  TestServer server({.gated = true, .clock = &clock});
  v1::GenerateRequest request = RequestWithId("job");
  request.set_detach(true);
  OpenStream call(server.stub(), request);
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(120));  // the default deadline of a call; the work has 300
  const StreamOutcome outcome = call.End();
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Detail<google::rpc::ErrorInfo>(outcome.status).metadata().at("phase"), "running");
  EXPECT_EQ(server.Get("job").state(), v1::GENERATION_STATE_RUNNING);
  server.gate().Open();
  server.WaitForState("job", v1::GENERATION_STATE_SUCCEEDED);
}

TEST(Detach, TheWorkEndsAtTheLongestDeadline) {
  FakeClock clock;
  TestServer server({.gated = true, .clock = &clock});
  v1::GenerateRequest request = RequestWithId("job");
  request.set_detach(true);
  OpenStream call(server.stub(), request);
  server.gate().WaitForArrivals(1);
  clock.Advance(absl::Seconds(300));
  server.WaitForState("job", v1::GENERATION_STATE_FAILED);
  EXPECT_EQ(server.Get("job").error().reason(), "DEADLINE_EXCEEDED");
  EXPECT_EQ(call.End().status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  server.gate().Open();
}

}  // namespace
}  // namespace kandinsky::server
