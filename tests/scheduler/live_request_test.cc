#include "scheduler/live_request.h"

#include <gtest/gtest.h>

#include "tests/fakes/recording_observer.h"

namespace kandinsky {
namespace {

using State = RequestState;

constexpr State kStates[] = {State::kQueued, State::kRunning,   State::kCompleted, State::kRejected,
                             State::kFailed, State::kCancelled, State::kExpired,   State::kShed};

TEST(RequestStateTest, OnlyTheDrawnTransitionsAreLegal) {
  const std::vector<std::pair<State, State>> legal = {
      {State::kQueued, State::kRunning},    {State::kQueued, State::kCancelled},
      {State::kQueued, State::kExpired},    {State::kQueued, State::kShed},
      {State::kRunning, State::kCompleted}, {State::kRunning, State::kRejected},
      {State::kRunning, State::kFailed},    {State::kRunning, State::kCancelled},
      {State::kRunning, State::kExpired}};
  for (const State from : kStates) {
    for (const State to : kStates) {
      const bool expected = std::find(legal.begin(), legal.end(), std::pair(from, to)) != legal.end();
      EXPECT_EQ(IsLegalTransition(from, to), expected)
          << static_cast<int>(from) << " to " << static_cast<int>(to);
    }
  }
}

TEST(RequestStateTest, NoTransitionLeavesAnEnd) {
  for (const State from : kStates) {
    bool leaves = false;
    for (const State to : kStates) leaves = leaves || IsLegalTransition(from, to);
    EXPECT_EQ(leaves, !IsEnd(from));
  }
}

class LiveRequestTest : public testing::Test {
 protected:
  const absl::Time arrival_ = absl::UnixEpoch() + absl::Hours(1);
  LiveRequest request_{1, EngineRequest{.images = {GenerationRequest()}},
                       std::make_shared<RecordingObserver>(), arrival_};
};

TEST_F(LiveRequestTest, QueuedTimeIsTheWholeTimeOfARequestThatNeverStarts) {
  const GenerationStatistics statistics = request_.Statistics(arrival_ + absl::Seconds(3));
  EXPECT_EQ(statistics.queued, absl::Seconds(3));
  EXPECT_EQ(statistics.total, absl::Seconds(3));
  EXPECT_EQ(statistics.mean_batch_rows, 0);
}

TEST_F(LiveRequestTest, StatisticsAddUpSteps) {
  request_.RecordStarted(arrival_ + absl::Seconds(2));
  StepRecord step;
  step.key.stage = Stage::kPrior;
  step.rows = 1;
  step.duration = absl::Seconds(1);
  step.not_merged[static_cast<size_t>(NotMergedReason::kAlone)] = 1;
  request_.RecordStep(step);
  step.key.stage = Stage::kDenoise;
  step.rows = 4;
  step.not_merged = {};
  step.not_merged[static_cast<size_t>(NotMergedReason::kSize)] = 3;
  step.duration = absl::Seconds(2);
  request_.RecordStep(step);
  step.duration = absl::Seconds(3);
  request_.RecordStep(step);
  const GenerationStatistics statistics = request_.Statistics(arrival_ + absl::Seconds(10));
  EXPECT_EQ(statistics.queued, absl::Seconds(2));
  EXPECT_EQ(statistics.total, absl::Seconds(10));
  EXPECT_EQ(statistics.stage_durations[1], absl::Seconds(1));
  EXPECT_EQ(statistics.stage_durations[2], absl::Seconds(5));
  EXPECT_EQ(statistics.steps, 3);
  EXPECT_EQ(statistics.max_batch_rows, 4);
  EXPECT_DOUBLE_EQ(statistics.mean_batch_rows, 3);
  EXPECT_EQ(statistics.not_merged_steps[static_cast<size_t>(NotMergedReason::kAlone)], 1);
  EXPECT_EQ(statistics.not_merged_steps[static_cast<size_t>(NotMergedReason::kSize)], 2);
  EXPECT_EQ(statistics.not_merged_steps[static_cast<size_t>(NotMergedReason::kRowLimit)], 0);
}

}  // namespace
}  // namespace kandinsky
