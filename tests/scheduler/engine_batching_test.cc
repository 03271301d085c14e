#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "scheduler/engine.h"
#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Le;
using ::testing::SizeIs;

std::set<std::string> Prompts(const FakeStep& step) {
  std::set<std::string> prompts;
  for (const FakeStepMember& member : step.members) prompts.insert(member.prompt);
  return prompts;
}

TEST_F(EngineTest, ImagesOfOneRequestShareEveryStep) {
  Start();
  const auto observer = Submit("cat", /*images=*/4);
  ASSERT_TRUE(observer->WaitForEnd().ok());
  EXPECT_THAT(Rows(), ElementsAre(4, 4, 4, 4, 4, 4, 4));
  ASSERT_THAT(observer->images(), SizeIs(4));
  for (int i = 0; i < 4; ++i) {
    const FinishedImage image = observer->images()[static_cast<size_t>(i)];
    EXPECT_EQ(image.index, i);
    EXPECT_EQ(image.seed, Small("cat").seed + static_cast<uint64_t>(i));
    EXPECT_EQ(image.result.image->pixels, FakePipeline::ExpectedImage(image.seed, 8, 8).pixels);
  }
}

TEST_F(EngineTest, JoinsARunningBatchAtTheNextStep) {
  StartGated();
  EngineRequest request = {.images = {Small("first")}};
  request.images[0].steps = 30;
  SubmitRequest(std::move(request));
  gate_.Allow(5);
  gate_.WaitForArrivals(6);  // two denoise steps are done
  Submit("second");
  gate_.Open();
  for (const auto& observer : observers_) ASSERT_TRUE(observer->WaitForEnd().ok());
  bool shared_at_different_steps = false;
  for (const FakeStep& step : log_->steps()) {
    if (step.members.size() == 2) shared_at_different_steps |= step.members[0].step != step.members[1].step;
  }
  EXPECT_TRUE(shared_at_different_steps);
  EXPECT_EQ(log_->StepsOf("first"), kSmallSteps + 27);
  EXPECT_EQ(log_->StepsOf("second"), kSmallSteps);
}

TEST_F(EngineTest, RequestsThatGatheredDuringAStepShareTheNextOnes) {
  StartGated();
  Submit("first");
  gate_.WaitForArrivals(1);
  Submit("second");
  Submit("third");
  Cancel("first").IgnoreError();
  gate_.Open();
  for (const auto& observer : observers_) observer->WaitForEnd().IgnoreError();
  const std::vector<FakeStep> steps = log_->steps();
  ASSERT_THAT(steps, SizeIs(1 + kSmallSteps));
  for (size_t i = 1; i < steps.size(); ++i) {
    EXPECT_EQ(Prompts(steps[i]), (std::set<std::string>{"second", "third"}));
  }
}

TEST_F(EngineTest, SizesAreNotMixedInADenoiseStep) {
  StartGated();
  Submit("first");
  gate_.WaitForArrivals(1);  // so that the worker meets the other two together
  Submit("a");
  EngineRequest wide = {.images = {Small("b")}};
  wide.images[0].width = 768;
  SubmitRequest(std::move(wide));
  gate_.Open();
  for (const auto& observer : observers_) ASSERT_TRUE(observer->WaitForEnd().ok());
  int together = 0;
  for (const FakeStep& step : log_->steps()) {
    const bool has_size = step.key.stage == Stage::kDenoise || step.key.stage == Stage::kDecode;
    EXPECT_FALSE(has_size && Prompts(step).contains("b") && step.members.size() > 1);
    together += !has_size && Prompts(step) == std::set<std::string>{"a", "b"} ? 1 : 0;
  }
  EXPECT_GT(together, 0);
}

TEST_F(EngineTest, ABatchHasAtMostMaxBatchRowsMembers) {
  options_.max_batch_rows = 3;
  Start();
  ASSERT_TRUE(Submit("many", /*images=*/8)->WaitForEnd().ok());
  EXPECT_THAT(Rows(), Each(Le(3u)));
  EXPECT_EQ(log_->StepsOf("many"), 8 * kSmallSteps);
}

TEST_F(EngineTest, ThePipelinesOwnRowLimitHoldsToo) {
  pipeline_options_.capabilities.max_batch_rows = 2;
  Start();
  ASSERT_TRUE(Submit("many", /*images=*/4)->WaitForEnd().ok());
  EXPECT_THAT(Rows(), Each(Le(2u)));
}

TEST_F(EngineTest, ABatchHasAtMostMaxBatchLatentPixels) {
  options_.max_batch_latent_pixels = 4 * 64 * 64;  // two guided samples of 512 x 512
  Start();
  ASSERT_TRUE(Submit("many", /*images=*/5)->WaitForEnd().ok());
  for (const FakeStep& step : log_->steps()) {
    if (step.key.stage == Stage::kDenoise) {
      EXPECT_LE(step.members.size(), 2u);
    }
    if (step.key.stage == Stage::kPrior) {
      EXPECT_EQ(step.members.size(), 5u);
    }
  }
}

TEST_F(EngineTest, AWorkerBeginsNoMoreThanMaxActiveGenerations) {
  options_.max_active_generations = 2;
  StartGated();
  for (const char* name : {"a", "b", "c", "d"}) Submit(name);
  gate_.Allow(3);
  gate_.WaitForArrivals(4);
  EXPECT_LE(log_->live_generations(), 2);
  EXPECT_GE(engine_->snapshot().queued_requests, 2u);
  gate_.Open();
  for (const auto& observer : observers_) EXPECT_TRUE(observer->WaitForEnd().ok());
}

TEST_F(EngineTest, AnIdleWorkerTakesARequestLargerThanItsRoom) {
  options_.max_active_generations = 2;
  Start();
  EXPECT_TRUE(Submit("large", /*images=*/5)->WaitForEnd().ok());
}

TEST_F(EngineTest, ImagesArriveAsSoonAsEachIsDone) {
  options_.max_active_generations = 1;
  StartGated();
  const auto observer = Submit("two", /*images=*/2);
  gate_.Allow(kSmallSteps + 1);
  observer->WaitForImages(1);
  EXPECT_EQ(observer->images()[0].index, 0);
  EXPECT_FALSE(observer->finished());
  gate_.Open();
  EXPECT_TRUE(observer->WaitForEnd().ok());
  EXPECT_THAT(observer->images(), SizeIs(2));
}

TEST_F(EngineTest, ALateRequestIsNotStarvedByALongOne) {
  options_.max_times_passed_over = 3;
  StartGated();
  EngineRequest request = {.images = {Small("long")}};
  request.images[0].steps = 1000;
  SubmitRequest(std::move(request));
  gate_.WaitForArrivals(1);
  clock_.Advance(absl::Seconds(1));
  EngineRequest late = {.images = {Small("late")}};
  late.images[0].width = 768;
  const auto observer = SubmitRequest(std::move(late));
  gate_.Open();
  EXPECT_TRUE(observer->WaitForEnd().ok());
  // It was passed over three times before each of its own steps but the first prior ones, which are shared.
  int long_steps = 0;
  for (const FakeStep& step : log_->steps()) {
    if (Prompts(step).contains("late") && step.key.stage == Stage::kDecode) break;
    if (Prompts(step).contains("long")) ++long_steps;
  }
  EXPECT_LE(long_steps, 4 * (kSmallSteps + 1));
}

TEST_F(EngineTest, ANearerDeadlineGoesFirst) {
  options_.max_times_passed_over = 1000;
  StartGated();
  Submit("blocker");
  gate_.WaitForArrivals(1);
  EngineRequest relaxed = {.images = {Small("relaxed")}, .deadline = clock_.Now() + absl::Seconds(100)};
  EngineRequest urgent = {.images = {Small("urgent")}, .deadline = clock_.Now() + absl::Seconds(50)};
  urgent.images[0].width = 768;
  SubmitRequest(std::move(relaxed));
  const auto observer = SubmitRequest(std::move(urgent));
  Cancel("blocker").IgnoreError();
  gate_.Allow(1 + kSmallSteps);
  EXPECT_TRUE(observer->WaitForEnd().ok());
  EXPECT_FALSE(observers_[1]->finished());
}

TEST_F(EngineTest, TwoWorkersShareTheQueue) {
  options_.max_active_generations = 1;
  pipeline_options_.on_step = [this](const FakeStep&) { gate_.Pass(); };
  Start(/*workers=*/2);
  EXPECT_EQ(engine_->snapshot().ready_workers, 2);
  const auto first = Submit("first");
  const auto second = Submit("second");
  gate_.WaitForArrivals(2);
  EXPECT_NE(first->starts()[0].worker, second->starts()[0].worker);
}

}  // namespace
}  // namespace kandinsky
