#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "scheduler/engine.h"
#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

size_t Index(NotMergedReason reason) { return static_cast<size_t>(reason); }

class EnginePolicyTest : public EngineTest {
 protected:
  // Every step takes a second; steps of `gated` prompts wait at the gate first.
  void StartTimed(const std::set<std::string>& gated = {}) {
    pipeline_options_.on_step = [this, gated](const FakeStep& step) {
      clock_.Advance(absl::Seconds(1));
      if (gated.contains(step.members[0].prompt)) gate_.Pass();
    };
    Start();
  }

  // Lets the engine measure every stage often enough for its estimates.
  void Measure() {
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(Submit("measure")->WaitForEnd().ok());
  }

  Submission Offer(EngineRequest request) {
    auto observer = std::make_shared<RecordingObserver>();
    Submission submission = engine_->Submit(std::move(request), observer);
    if (submission.status.ok()) observers_.push_back(observer);
    return submission;
  }
};

TEST_F(EnginePolicyTest, RefusesADeadlineThatMeasuredStepsCannotMeet) {
  StartTimed();
  Measure();
  const size_t steps = log_->steps().size();
  const Submission refused =
      Offer({.images = {Small("late")}, .deadline = clock_.Now() + absl::Seconds(kSmallSteps - 1)});
  EXPECT_EQ(refused.refusal, RefusalReason::kDeadlineUnreachable);
  EXPECT_TRUE(absl::IsDeadlineExceeded(refused.status));
  EXPECT_EQ(refused.estimated_total, absl::Seconds(kSmallSteps));
  EXPECT_EQ(refused.reachable_after, absl::ZeroDuration());  // not even when it is alone
  EXPECT_EQ(log_->steps().size(), steps);
  EXPECT_TRUE(Offer({.images = {Small("fits")}, .deadline = clock_.Now() + absl::Seconds(kSmallSteps + 1)})
                  .status.ok());
  EXPECT_TRUE(observers_.back()->WaitForEnd().ok());
}

TEST_F(EnginePolicyTest, CountsTheWaitIntoTheDeadline) {
  options_.max_active_generations = 1;
  StartTimed({"running"});
  Measure();
  Submit("running");
  gate_.WaitForArrivals(1);
  const Submission refused =
      Offer({.images = {Small("late")}, .deadline = clock_.Now() + absl::Seconds(kSmallSteps + 1)});
  EXPECT_EQ(refused.refusal, RefusalReason::kDeadlineUnreachable);
  EXPECT_GT(refused.estimated_wait, absl::ZeroDuration());
  EXPECT_GT(refused.reachable_after, absl::ZeroDuration());
  gate_.Open();
  ASSERT_TRUE(observers_.back()->WaitForEnd().ok());
  clock_.Advance(refused.reachable_after);
  EXPECT_TRUE(Offer({.images = {Small("late")}, .deadline = clock_.Now() + absl::Seconds(kSmallSteps + 1)})
                  .status.ok());
}

TEST_F(EnginePolicyTest, RefusesNoDeadlineBeforeItHasMeasured) {
  StartTimed();
  EXPECT_TRUE(Offer({.images = {Small("cat")}, .deadline = clock_.Now() + absl::Seconds(2)}).status.ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(observers_.back()->WaitForEnd()));
}

TEST_F(EnginePolicyTest, RefusesWhatWouldWaitLongerThanTheQueueMayBe) {
  options_.max_active_generations = 1;
  options_.max_queued_time = absl::Seconds(10);
  StartTimed({"running"});
  Measure();
  Submit("running");
  gate_.WaitForArrivals(1);
  EXPECT_TRUE(Offer({.images = {Small("a")}}).status.ok());
  const Submission refused = Offer({.images = {Small("b")}});
  EXPECT_EQ(refused.refusal, RefusalReason::kQueueTooLong);
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status));
  EXPECT_GT(refused.estimated_wait, absl::Seconds(10));
}

TEST_F(EnginePolicyTest, HighPriorityOvertakesWhatWaits) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  const auto normal = Submit("normal");
  EngineRequest request = {.images = {Small("high")}, .priority = Priority::kHigh};
  const auto high = SubmitRequest(std::move(request));
  EXPECT_EQ(high->queued()[0].position, 0);
  normal->WaitForQueued(2);
  EXPECT_EQ(normal->queued()[1].position, 1);
  gate_.Allow(2 * kSmallSteps);
  EXPECT_TRUE(high->WaitForEnd().ok());
  EXPECT_FALSE(normal->finished());
}

TEST_F(EnginePolicyTest, ClientsTakeTurnsWhateverTheyAskFor) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  for (int i = 0; i < 10; ++i) SubmitRequest({.images = {Small("greedy")}, .client = "greedy"});
  const auto polite = SubmitRequest({.images = {Small("polite")}, .client = "polite"});
  gate_.Allow(3 * kSmallSteps);
  EXPECT_TRUE(polite->WaitForEnd().ok());
  EXPECT_LE(log_->StepsOf("greedy"), 2 * kSmallSteps);
}

TEST_F(EnginePolicyTest, APoliteClientGetsAPlaceInAQueueThatAGreedyOneFilled) {
  options_.max_active_generations = 1;
  options_.max_queued_requests = 4;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  for (int i = 0; i < 4; ++i) SubmitRequest({.images = {Small("greedy")}, .client = "greedy"});
  EXPECT_EQ(Offer({.images = {Small("greedy")}, .client = "greedy"}).refusal, RefusalReason::kQueueFull);
  const auto polite = SubmitRequest({.images = {Small("polite")}, .client = "polite"});
  EXPECT_TRUE(absl::IsAborted(observers_[4]->WaitForEnd()));
  EXPECT_EQ(engine_->snapshot().shed_total, 1);
  gate_.Open();
  EXPECT_TRUE(polite->WaitForEnd().ok());
}

TEST_F(EnginePolicyTest, AMemoryCapIsProbedUpwardsUntilItIsGone) {
  std::atomic<bool> scarce = true;
  options_.probe_after_steps = 2;
  pipeline_options_.on_step = [&](const FakeStep&) {};
  pipeline_options_.out_of_memory_when = [&](const FakeStep& step) {
    return scarce && step.members.size() > 2;
  };
  Start();
  ASSERT_TRUE(Submit("scarce", /*images=*/8)->WaitForEnd().ok());
  EXPECT_GT(engine_->snapshot().capped_keys, 0);
  scarce = false;
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(Submit("plenty", /*images=*/8)->WaitForEnd().ok());
  EXPECT_EQ(log_->steps().back().members.size(), 8u);
}

TEST_F(EnginePolicyTest, ABatchKeepsToTheMemoryBudget) {
  pipeline_options_.memory_bytes = 100;
  options_.max_batch_memory_bytes = 350;
  Start();
  ASSERT_TRUE(Submit("cat", /*images=*/8)->WaitForEnd().ok());
  for (const size_t rows : Rows()) EXPECT_LE(rows, 3u);
}

TEST_F(EnginePolicyTest, AnImageBeyondTheMemoryBudgetIsRefusedBeforeItsFirstStep) {
  pipeline_options_.memory_bytes = 100;
  options_.max_batch_memory_bytes = 99;
  Start();
  EXPECT_TRUE(absl::IsResourceExhausted(Submit("huge")->WaitForEnd()));
  EXPECT_TRUE(log_->steps().empty());
}

TEST_F(EnginePolicyTest, PreviewsComeEverySoManySteps) {
  Start();
  EngineRequest request = {.images = {Small("cat")}};
  request.images[0].steps = 7;
  request.images[0].preview_every_steps = 3;
  const auto observer = SubmitRequest(std::move(request));
  ASSERT_TRUE(observer->WaitForEnd().ok());
  std::vector<int> steps;
  for (const PreviewImage& preview : observer->previews()) steps.push_back(preview.step);
  EXPECT_THAT(steps, ElementsAre(3, 6));
  EXPECT_EQ(observer->previews()[0].image.width, 4);
}

TEST_F(EnginePolicyTest, ARequestAloneIsToldSo) {
  Start();
  const auto observer = Submit("cat");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  EXPECT_EQ(observer->statistics().not_merged_steps[Index(NotMergedReason::kAlone)], kSmallSteps);
}

TEST_F(EnginePolicyTest, RequestsAreToldWhyTheyWereNotMerged) {
  StartGated();
  const auto observer = Submit("a");
  gate_.WaitForArrivals(1);
  EngineRequest wide = {.images = {Small("b")}};
  wide.images[0].width = 768;
  SubmitRequest(std::move(wide));
  gate_.Open();
  for (const auto& each : observers_) ASSERT_TRUE(each->WaitForEnd().ok());
  const GenerationStatistics statistics = observer->statistics();
  EXPECT_GT(statistics.not_merged_steps[Index(NotMergedReason::kSize)], 0);
  EXPECT_EQ(statistics.not_merged_steps[Index(NotMergedReason::kRowLimit)], 0);
}

TEST_F(EnginePolicyTest, AStrictBatchRunsTogetherToItsEndAndNobodyJoins) {
  options_.batch_mode = BatchMode::kStrict;
  StartGated();
  const auto first = Submit("first", /*images=*/2);
  gate_.WaitForArrivals(1);
  const auto late = Submit("late", /*images=*/2);
  gate_.Open();
  ASSERT_TRUE(first->WaitForEnd().ok());
  ASSERT_TRUE(late->WaitForEnd().ok());
  EXPECT_THAT(Rows(), Each(2u));
  const std::vector<FakeStep> steps = log_->steps();
  ASSERT_THAT(steps, SizeIs(2 * kSmallSteps));
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].members[0].prompt, i < kSmallSteps ? "first" : "late");
  }
}

TEST_F(EnginePolicyTest, AStrictBatchHasOneNumberOfSteps) {
  options_.batch_mode = BatchMode::kStrict;
  StartGated();
  Submit("blocker");
  gate_.WaitForArrivals(1);
  EngineRequest other = {.images = {Small("other")}};
  other.images[0].steps = 4;
  Submit("same");
  SubmitRequest(std::move(other));
  Submit("same too");
  gate_.Open();
  for (const auto& observer : observers_) ASSERT_TRUE(observer->WaitForEnd().ok());
  for (const FakeStep& step : log_->steps()) {
    std::set<bool> others;
    for (const FakeStepMember& member : step.members) others.insert(member.prompt == "other");
    EXPECT_EQ(others.size(), 1u);
  }
}

TEST_F(EnginePolicyTest, TheSnapshotEstimatesWaitAndDrain) {
  options_.max_active_generations = 1;
  StartTimed({"running"});
  Measure();
  Submit("running");
  gate_.WaitForArrivals(1);
  Submit("waiting");
  const EngineSnapshot snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot.estimated_wait, absl::Seconds(2 * kSmallSteps));
  EXPECT_EQ(snapshot.estimated_drain, absl::Seconds(2 * kSmallSteps));
  EXPECT_EQ(snapshot.queued_by_priority[static_cast<size_t>(Priority::kNormal)], 1u);
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(engine_->snapshot().oldest_wait, absl::Seconds(3));
}

TEST_F(EnginePolicyTest, AWorkerThatAlwaysStepsIsBusy) {
  StartTimed({"holds"});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Submit("cat")->WaitForEnd().ok());
  Submit("holds");
  gate_.WaitForArrivals(1);  // the steps before are recorded by now
  EXPECT_GT(engine_->snapshot().busy_ratio, 0.9);
  clock_.Advance(absl::Hours(1));
  EXPECT_LT(engine_->snapshot().busy_ratio, 0.01);
}

}  // namespace
}  // namespace kandinsky
