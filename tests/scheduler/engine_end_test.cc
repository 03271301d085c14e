#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "scheduler/engine.h"
#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST_F(EngineTest, CancelsAWaitingRequestAtOnce) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  const auto waiting = Submit("waiting");
  EXPECT_TRUE(Cancel("waiting").ok());
  EXPECT_TRUE(absl::IsCancelled(waiting->WaitForEnd()));
  EXPECT_FALSE(waiting->started());
  gate_.Open();
  EXPECT_TRUE(observers_[0]->WaitForEnd().ok());
  EXPECT_EQ(log_->StepsOf("waiting"), 0);
}

// At every step of its life: the running step is the last, and the observer hears of the end while it still
// runs.
class CancelAtStepTest : public EngineTest, public testing::WithParamInterface<int> {};

TEST_P(CancelAtStepTest, AtMostOneFurtherStepRuns) {
  StartGated();
  const auto observer = Submit("cat");
  gate_.Allow(GetParam());
  gate_.WaitForArrivals(GetParam() + 1);
  EXPECT_TRUE(Cancel("cat").ok());
  EXPECT_TRUE(absl::IsCancelled(observer->WaitForEnd()));
  EXPECT_TRUE(absl::IsNotFound(Cancel("cat")));
  gate_.Open();
  ASSERT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ(log_->StepsOf("cat"), GetParam() + 1);
  EXPECT_THAT(observer->images(), SizeIs(0));
  EXPECT_EQ(engine_->snapshot().cancelled_running_total, 1);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, CancelAtStepTest, testing::Range(0, 7));

TEST_F(EngineTest, CancellingOneMemberLeavesTheOthersAlone) {
  StartGated();
  Submit("first");
  gate_.WaitForArrivals(1);
  const auto stays = Submit("stays");
  const auto leaves = Submit("leaves");
  gate_.Allow(4);
  gate_.WaitForArrivals(5);
  EXPECT_TRUE(Cancel("leaves").ok());
  gate_.Open();
  EXPECT_TRUE(stays->WaitForEnd().ok());
  EXPECT_TRUE(observers_[0]->WaitForEnd().ok());
  EXPECT_TRUE(absl::IsCancelled(leaves->WaitForEnd()));
  const uint64_t seed = Small("stays").seed;
  EXPECT_EQ(stays->images()[0].result.image->pixels, FakePipeline::ExpectedImage(seed, 8, 8).pixels);
  EXPECT_EQ(log_->StepsOf("stays"), kSmallSteps);
}

TEST_F(EngineTest, CancelDropsAllImagesOfARequest) {
  StartGated();
  const auto observer = Submit("cat", /*images=*/4);
  gate_.Allow(2);
  gate_.WaitForArrivals(3);
  EXPECT_TRUE(Cancel("cat").ok());
  gate_.Open();
  ASSERT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ(log_->StepsOf("cat"), 4 * 3);
}

TEST_F(EngineTest, CancellingAnUnknownRequestIsNotFound) {
  Start();
  EXPECT_TRUE(absl::IsNotFound(engine_->Cancel(4711)));
}

TEST_F(EngineTest, AWaitingRequestExpiresWhileTheWorkerIsBusy) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  const auto waiting = Submit("waiting", 1, clock_.Now() + absl::Seconds(5));
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(absl::IsDeadlineExceeded(waiting->WaitForEnd()));
  EXPECT_FALSE(waiting->started());
  EXPECT_EQ(waiting->statistics().queued, absl::Seconds(5));
  EXPECT_EQ(engine_->snapshot().expired_queued_total, 1);
}

TEST_F(EngineTest, ARunningRequestExpiresWhileItsStepRuns) {
  StartGated();
  const auto observer = Submit("cat", 1, clock_.Now() + absl::Seconds(5));
  gate_.Allow(2);
  gate_.WaitForArrivals(3);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(absl::IsDeadlineExceeded(observer->WaitForEnd()));
  gate_.Open();
  ASSERT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ(log_->StepsOf("cat"), 3);
}

TEST_F(EngineTest, AnImageThatIsDoneAfterTheDeadlineIsNotDelivered) {
  StartGated();
  const auto observer = Submit("cat", 1, clock_.Now() + absl::Seconds(5));
  gate_.Allow(kSmallSteps - 1);
  gate_.WaitForArrivals(kSmallSteps);
  clock_.Advance(absl::Seconds(5));
  gate_.Open();
  EXPECT_TRUE(absl::IsDeadlineExceeded(observer->WaitForEnd()));
  EXPECT_THAT(observer->images(), SizeIs(0));
}

TEST_F(EngineTest, AStepThatOutlastsTheDeadlineDeliversNothingWhoeverNoticesFirst) {
  pipeline_options_.on_step = [this](const FakeStep& step) {
    if (step.key.stage == Stage::kDecode) clock_.Advance(absl::Seconds(5));
  };
  for (int round = 0; round < 50; ++round) {
    Start();  // anew, since an engine that had measured would refuse
    const auto observer = Submit("cat", 1, clock_.Now() + absl::Seconds(5));
    EXPECT_TRUE(absl::IsDeadlineExceeded(observer->WaitForEnd()));
    EXPECT_THAT(observer->images(), SizeIs(0));
  }
}

TEST_F(EngineTest, ARequestThatEndsBeforeItsDeadlineIsNotExpired) {
  Start();
  const auto observer = Submit("cat", 1, clock_.Now() + absl::Seconds(5));
  EXPECT_TRUE(observer->WaitForEnd().ok());
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(Submit("next")->WaitForEnd().ok());
  EXPECT_EQ((engine_->snapshot().expired_queued_total + engine_->snapshot().expired_running_total), 0);
}

TEST_F(EngineTest, ALaterDeadlineIsTheOneThatCounts) {
  StartGated();
  const auto observer = Submit("cat", 1, clock_.Now() + absl::Seconds(5));
  gate_.Allow(2);
  gate_.WaitForArrivals(3);
  EXPECT_TRUE(ExtendDeadline("cat", clock_.Now() + absl::Seconds(20)).ok());
  EXPECT_TRUE(ExtendDeadline("cat", clock_.Now() + absl::Seconds(10)).ok());  // earlier: changes nothing
  clock_.Advance(absl::Seconds(10));
  gate_.Allow(1);
  gate_.WaitForArrivals(4);  // the watcher and the worker have looked at the clock and let it live
  EXPECT_FALSE(observer->finished());
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(absl::IsDeadlineExceeded(observer->WaitForEnd()));
  EXPECT_TRUE(absl::IsNotFound(ExtendDeadline("cat", absl::InfiniteFuture())));
}

TEST_F(EngineTest, ADeadlineThatIsLiftedNeverPasses) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  const auto waiting = Submit("waiting", 1, clock_.Now() + absl::Seconds(5));
  EXPECT_TRUE(ExtendDeadline("waiting", absl::InfiniteFuture()).ok());
  clock_.Advance(absl::Hours(1));
  gate_.Open();
  EXPECT_TRUE(waiting->WaitForEnd().ok());
}

TEST_F(EngineTest, WhoseDeadlineMovesAwayIsLessUrgent) {
  StartGated();
  Submit("first");
  gate_.WaitForArrivals(1);
  const auto urgent = Submit("urgent", 1, clock_.Now() + absl::Seconds(50));
  EngineRequest larger = {.images = {Small("larger")}, .deadline = clock_.Now() + absl::Seconds(60)};
  larger.images[0].width = 2 * larger.images[0].width;  // the two never share a denoise step
  const auto other = SubmitRequest(std::move(larger));
  EXPECT_TRUE(ExtendDeadline("urgent", clock_.Now() + absl::Seconds(70)).ok());
  gate_.Open();
  EXPECT_TRUE(urgent->WaitForEnd().ok());
  EXPECT_TRUE(other->WaitForEnd().ok());
  std::vector<std::string> decoded;
  for (const FakeStep& step : log_->steps()) {
    if (step.key.stage == Stage::kDecode) decoded.push_back(step.members[0].prompt);
  }
  EXPECT_THAT(decoded, ElementsAre("larger", "urgent"));  // the first shares the step of its size
}

TEST_F(EngineTest, DrainLetsAcceptedRequestsFinishAndRefusesNewOnes) {
  options_.max_active_generations = 1;
  StartGated();
  const auto running = Submit("running");
  const auto waiting = Submit("waiting");
  gate_.WaitForArrivals(1);
  std::thread drain([&] { EXPECT_EQ(engine_->Drain(absl::InfiniteFuture()), 0); });
  while (!engine_->snapshot().draining) std::this_thread::yield();
  EXPECT_TRUE(
      absl::IsUnavailable(TrySubmit({.images = {Small("late")}}, std::make_shared<RecordingObserver>())));
  gate_.Open();
  drain.join();
  EXPECT_TRUE(running->WaitForEnd().ok());
  EXPECT_TRUE(waiting->WaitForEnd().ok());
}

TEST_F(EngineTest, DrainCancelsTheRestAtItsDeadline) {
  options_.max_active_generations = 1;
  StartGated();
  const auto running = Submit("running");
  const auto waiting = Submit("waiting");
  gate_.WaitForArrivals(1);
  const absl::Time deadline = clock_.Now() + absl::Seconds(30);
  std::thread drain([&] { EXPECT_EQ(engine_->Drain(deadline), 2); });
  clock_.Advance(absl::Seconds(30));
  drain.join();
  EXPECT_TRUE(running->finished());
  EXPECT_TRUE(waiting->finished());
  EXPECT_TRUE(absl::IsCancelled(running->WaitForEnd()));
  EXPECT_TRUE(absl::IsCancelled(waiting->WaitForEnd()));
}

TEST_F(EngineTest, AnIdleEngineDrainsAtOnce) {
  Start();
  EXPECT_EQ(engine_->Drain(absl::InfiniteFuture()), 0);
  EXPECT_EQ(engine_->Drain(absl::InfiniteFuture()), 0);
}

TEST_F(EngineTest, TheEndOfTheEngineCancelsWhatIsLeft) {
  options_.max_active_generations = 1;
  StartGated();
  const auto running = Submit("running");
  const auto waiting = Submit("waiting");
  gate_.WaitForArrivals(1);
  std::thread end([&] { engine_.reset(); });
  // Both ends come before the running step is over.
  EXPECT_TRUE(absl::IsCancelled(running->WaitForEnd()));
  EXPECT_TRUE(absl::IsCancelled(waiting->WaitForEnd()));
  gate_.Open();
  end.join();
}

}  // namespace
}  // namespace kandinsky
