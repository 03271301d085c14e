#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "tests/fakes/fake_clock.h"
#include "tests/server/test_server.h"

namespace kandinsky::server {
namespace {

// Requests of SmallRequest: encode, 3 prior steps, 4 denoise steps, decode.
constexpr int kSteps = 9;

double RetrySeconds(const StreamOutcome& outcome) {
  const auto delay = Detail<google::rpc::RetryInfo>(outcome.status).retry_delay();
  return static_cast<double>(delay.seconds()) + delay.nanos() * 1e-9;
}

// In seconds; negative when the trailer is not there.
double PushbackSeconds(const StreamOutcome& outcome) {
  double milliseconds = -1000;
  if (!outcome.retry_pushback_ms.empty()) {
    EXPECT_TRUE(absl::SimpleAtod(outcome.retry_pushback_ms, &milliseconds));
  }
  return milliseconds / 1000;
}

google::rpc::ErrorInfo Info(const StreamOutcome& outcome) {
  return Detail<google::rpc::ErrorInfo>(outcome.status);
}

// A server that begins one image at a time and whose every step takes a second of its clock, measured before
// the test; steps of the prompt "held" wait at a gate afterwards. The clock stands still otherwise.
class MeasuredServer : public testing::Test {
 protected:
  MeasuredServer() : server_(Options()) {
    for (int i = 0; i < 6; ++i) {
      EXPECT_TRUE(Call(SmallRequest("measured")).status.ok());
    }
  }
  ~MeasuredServer() override { gate_.Open(); }

  StreamOutcome Call(const v1::GenerateRequest& request, absl::Duration timeout = absl::InfiniteDuration()) {
    return OpenStream(server_.stub(), request, "", timeout).End();
  }

  // Begins a request that stays at its first step, so that all of it is ahead of others.
  std::unique_ptr<OpenStream> Hold() {
    auto held = std::make_unique<OpenStream>(server_.stub(), SmallRequest("held"));
    gate_.WaitForArrivals(1);
    return held;
  }

  FakeClock clock_;
  StepGate gate_;
  TestServer server_;

 private:
  TestServerOptions Options() {
    TestServerOptions options = {
        .overrides = {"engine.max_active_generations=1", "engine.max_queued_seconds=10"}, .clock = &clock_};
    options.pipeline.on_step = [this](const FakeStep& step) {
      if (step.members[0].prompt == "held") gate_.Pass();
      clock_.Advance(absl::Seconds(1));
    };
    return options;
  }
};

TEST_F(MeasuredServer, RefusesWhatWouldWaitTooLongAndSaysWhenToComeAgain) {
  const auto held = Hold();
  OpenStream waiting(server_.stub(), SmallRequest("waiting"));
  waiting.WaitFor(v1::GenerateEvent::kQueued);  // it waits for 9 s, which is below 10
  const StreamOutcome refused = Call(SmallRequest("excess"));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Info(refused).reason(), "QUEUE_TOO_LONG");
  EXPECT_EQ(Detail<google::rpc::QuotaFailure>(refused.status).violations(0).subject(),
            "engine.max_queued_seconds");
  EXPECT_NEAR(RetrySeconds(refused), 2 * kSteps, 0.1);
  EXPECT_NEAR(PushbackSeconds(refused), RetrySeconds(refused), 0.001);
  gate_.Open();
  EXPECT_TRUE(held->End().status.ok());
  EXPECT_TRUE(waiting.End().status.ok());
  EXPECT_TRUE(Call(SmallRequest("excess")).status.ok());  // that time has passed
}

TEST_F(MeasuredServer, RefusesADeadlineThatItsOwnStepsCannotMeetWithoutPromisingARetry) {
  const size_t steps = server_.log().steps().size();
  const StreamOutcome refused = Call(SmallRequest(), absl::Seconds(kSteps - 1));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Info(refused).reason(), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(Info(refused).metadata().at("phase"), "admission");
  double predicted = 0;
  ASSERT_TRUE(absl::SimpleAtod(Info(refused).metadata().at("predicted_seconds"), &predicted));
  EXPECT_NEAR(predicted, kSteps, 0.1);
  EXPECT_FALSE(Detail<google::rpc::RetryInfo>(refused.status).has_retry_delay());
  EXPECT_EQ(refused.retry_pushback_ms, "");
  EXPECT_EQ(server_.log().steps().size(), steps);
}

TEST_F(MeasuredServer, RefusesADeadlineThatTheLoadKeepsFromBeingMetAndSaysWhenToComeAgain) {
  const auto held = Hold();
  const absl::Duration timeout = absl::Seconds(kSteps + 5);  // enough for it alone, not for both
  const StreamOutcome refused = Call(SmallRequest("late"), timeout);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Info(refused).reason(), "DEADLINE_UNREACHABLE");
  EXPECT_GE(RetrySeconds(refused), 4);                  // nine seconds of the other, five to spare
  EXPECT_LE(RetrySeconds(refused), 2 * kSteps * 1.25);  // a quarter in hand
  EXPECT_NEAR(PushbackSeconds(refused), RetrySeconds(refused), 0.001);
  gate_.Open();
  EXPECT_TRUE(held->End().status.ok());
  EXPECT_TRUE(Call(SmallRequest("late"), timeout).status.ok());
}

}  // namespace
}  // namespace kandinsky::server
