#include "scheduler/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;

TEST_F(EngineTest, DeliversTheImageOfARequest) {
  Start();
  const auto observer = Submit("cat");
  EXPECT_TRUE(observer->WaitForEnd().ok());
  ASSERT_EQ(observer->images().size(), 1u);
  const FinishedImage image = observer->images()[0];
  EXPECT_EQ(image.index, 0);
  EXPECT_EQ(image.seed, Small("cat").seed);
  EXPECT_EQ(image.result.image->pixels, FakePipeline::ExpectedImage(image.seed, 8, 8).pixels);
}

TEST_F(EngineTest, ReportsEveryStepOfEveryStage) {
  Start();
  const auto observer = Submit("cat");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  std::vector<std::tuple<Stage, int, int>> steps;
  for (const ProgressUpdate& update : observer->progress()) {
    steps.emplace_back(update.progress.stage, update.progress.step, update.progress.total_steps);
    EXPECT_EQ(update.batch_rows, 1);
  }
  using Step = std::tuple<Stage, int, int>;
  EXPECT_THAT(steps,
              ElementsAre(Step(Stage::kEncode, 1, 1), Step(Stage::kPrior, 1, 2), Step(Stage::kPrior, 2, 2),
                          Step(Stage::kDenoise, 1, 3), Step(Stage::kDenoise, 2, 3),
                          Step(Stage::kDenoise, 3, 3), Step(Stage::kDecode, 1, 1)));
}

TEST_F(EngineTest, TellsQueueWorkerAndDevice) {
  Start();
  const auto observer = Submit("cat");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  ASSERT_GE(observer->queued().size(), 1u);
  EXPECT_EQ(observer->queued()[0].position, 0);
  ASSERT_EQ(observer->starts().size(), 1u);
  EXPECT_EQ(observer->starts()[0].worker, "worker-0");
  EXPECT_EQ(observer->starts()[0].device, "cpu");
}

TEST_F(EngineTest, SkipsTheDecodeStageWhenNoImageIsWanted) {
  Start();
  EngineRequest request = {.images = {Small("latents")}};
  request.images[0].output = {.image = false, .latents = true};
  const auto observer = SubmitRequest(std::move(request));
  ASSERT_TRUE(observer->WaitForEnd().ok());
  ASSERT_EQ(observer->images().size(), 1u);
  EXPECT_FALSE(observer->images()[0].result.image.has_value());
  EXPECT_EQ(observer->images()[0].result.latents->shape, (std::vector<int64_t>{4, 64, 64}));
  EXPECT_EQ(log_->StepsOf("latents"), kSmallSteps - 1);
}

TEST_F(EngineTest, StatisticsDescribeTheRun) {
  pipeline_options_.on_step = [this](const FakeStep&) { clock_.Advance(absl::Seconds(1)); };
  Start();
  const auto observer = Submit("two words");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  const GenerationStatistics statistics = observer->statistics();
  EXPECT_EQ(statistics.total, absl::Seconds(kSmallSteps));
  EXPECT_EQ(statistics.queued, absl::ZeroDuration());
  EXPECT_THAT(statistics.stage_durations,
              ElementsAre(absl::Seconds(1), absl::Seconds(2), absl::Seconds(3), absl::Seconds(1)));
  EXPECT_EQ(statistics.steps, kSmallSteps);
  EXPECT_EQ(statistics.max_batch_rows, 1);
  ASSERT_EQ(statistics.prompt_tokens.size(), 1u);
  EXPECT_EQ(statistics.prompt_tokens[0].tokens, 4);
}

TEST_F(EngineTest, AStepOfSeveralImagesOfARequestCountsOnceForIt) {
  Start();
  const auto observer = Submit("cat", /*images=*/4);
  ASSERT_TRUE(observer->WaitForEnd().ok());
  EXPECT_EQ(observer->statistics().steps, kSmallSteps);
  EXPECT_DOUBLE_EQ(observer->statistics().mean_batch_rows, 4);
}

TEST_F(EngineTest, RefusesARequestWithoutImageOrObserver) {
  Start();
  EXPECT_TRUE(absl::IsInvalidArgument(TrySubmit({.images = {}}, std::make_shared<RecordingObserver>())));
  EXPECT_TRUE(absl::IsInvalidArgument(TrySubmit({.images = {Small("a")}}, nullptr)));
}

TEST_F(EngineTest, RefusesADeadlineThatHasPassed) {
  Start();
  const auto observer = std::make_shared<RecordingObserver>();
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(TrySubmit({.images = {Small("a")}, .deadline = clock_.Now()}, observer)));
  EXPECT_FALSE(observer->finished());
}

TEST_F(EngineTest, RefusesExactlyTheExcessOfAFullQueue) {
  options_.max_queued_requests = 3;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  for (const char* name : {"a", "b", "c"}) Submit(name);
  for (const char* name : {"d", "e"}) {
    const auto observer = std::make_shared<RecordingObserver>();
    EXPECT_TRUE(absl::IsResourceExhausted(TrySubmit({.images = {Small(name)}}, observer)));
    EXPECT_TRUE(observer->queued().empty());
  }
  EXPECT_EQ(engine_->snapshot().queued_requests, 3u);
  EXPECT_EQ(engine_->snapshot().rejected_total, 2);
  gate_.Open();
  for (const auto& observer : observers_) EXPECT_TRUE(observer->WaitForEnd().ok());
}

TEST_F(EngineTest, IsUnavailableWithoutAReadyWorker) {
  Engine engine({}, LoadFake({}, nullptr, 0), clock_);
  EXPECT_EQ(engine.WaitUntilReady().code(), absl::StatusCode::kFailedPrecondition);
  const Submission refused = engine.Submit({.images = {Small("a")}}, std::make_shared<RecordingObserver>());
  EXPECT_EQ(refused.refusal, RefusalReason::kNoWorker);
  EXPECT_TRUE(absl::IsUnavailable(refused.status));
}

TEST_F(EngineTest, WaitUntilReadyReturnsTheErrorOfAWorker) {
  pipeline_options_.on_make = [](int made) {
    return made == 0 ? absl::OkStatus() : absl::NotFoundError("no weights");
  };
  EXPECT_EQ(Engine({}, LoadFake(pipeline_options_, nullptr, 2), clock_).WaitUntilReady(),
            absl::NotFoundError("no weights"));
  pipeline_options_.on_make = [](int) -> absl::Status { throw std::runtime_error("secret"); };
  const absl::Status thrown = Engine({}, LoadFake(pipeline_options_), clock_).WaitUntilReady();
  EXPECT_EQ(thrown.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(std::string(thrown.message()).find("secret"), std::string::npos);
}

TEST_F(EngineTest, TellsItsModel) {
  Start();
  EXPECT_EQ(engine_->model().capabilities().model_name, "fake");
}

TEST_F(EngineTest, SnapshotFollowsTheRequests) {
  options_.max_active_generations = 2;
  StartGated();
  const auto running = Submit("running", /*images=*/2);
  gate_.WaitForArrivals(1);
  const auto waiting = Submit("waiting");
  EngineSnapshot snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot.running_requests, 1u);
  EXPECT_EQ(snapshot.queued_requests, 1u);
  EXPECT_EQ(snapshot.active_generations, 2);
  EXPECT_EQ(snapshot.ready_workers, 1);
  EXPECT_FALSE(snapshot.draining);
  gate_.Open();
  EXPECT_TRUE(running->WaitForEnd().ok());
  EXPECT_TRUE(waiting->WaitForEnd().ok());
  snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot.running_requests, 0u);
  EXPECT_EQ(snapshot.queued_requests, 0u);
  EXPECT_EQ(snapshot.active_generations, 0);
  EXPECT_EQ(snapshot.completed_total, 2);
}

TEST_F(EngineTest, RecordsEveryStepForMetrics) {
  Mutex mutex;
  std::vector<StepRecord> records;
  pipeline_options_.failures = {{.prompt = "bad", .stage = Stage::kPrior, .step = 1}};
  {
    Engine engine({}, LoadFake(pipeline_options_), clock_, {.on_step = [&](const StepRecord& record) {
                    MutexLock lock(mutex);
                    records.push_back(record);
                  }});
    ASSERT_TRUE(engine.WaitUntilReady().ok());
    const auto observer = std::make_shared<RecordingObserver>();
    ASSERT_TRUE(engine.Submit({.images = {Small("bad")}}, observer).status.ok());
    EXPECT_EQ(observer->WaitForEnd().code(), absl::StatusCode::kInternal);
  }
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].key.stage, Stage::kEncode);
  EXPECT_TRUE(records[1].status.ok());
  EXPECT_EQ(records[2].status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(records[2].rows, 1);
}

TEST_F(EngineTest, EstimatesTheWaitFromMeasuredSteps) {
  options_.max_active_generations = 1;
  pipeline_options_.on_step = [this](const FakeStep& step) {
    clock_.Advance(absl::Seconds(1));
    if (step.members[0].prompt != "first") gate_.Pass();
  };
  Start();
  EXPECT_EQ(engine_->snapshot().estimated_wait, absl::ZeroDuration());
  const auto first = Submit("first");
  ASSERT_TRUE(first->WaitForEnd().ok());
  EXPECT_EQ(engine_->snapshot().estimated_wait, absl::ZeroDuration());
  const auto running = Submit("running");
  gate_.WaitForArrivals(1);
  EXPECT_EQ(engine_->snapshot().estimated_wait, absl::Seconds(kSmallSteps));
  const auto waiting = Submit("waiting");
  EXPECT_EQ(waiting->queued()[0].estimated_wait, absl::Seconds(kSmallSteps));
  EXPECT_EQ(engine_->snapshot().estimated_wait, absl::Seconds(2 * kSmallSteps));
  EXPECT_EQ(first->progress()[0].estimated_remaining, absl::ZeroDuration());
}

TEST_F(EngineTest, ProgressEstimatesWhatRemains) {
  pipeline_options_.on_step = [this](const FakeStep&) { clock_.Advance(absl::Seconds(1)); };
  Start();
  ASSERT_TRUE(Submit("first")->WaitForEnd().ok());
  const auto observer = Submit("second");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  EXPECT_EQ(observer->progress().front().estimated_remaining, absl::Seconds(kSmallSteps - 1));
  EXPECT_EQ(observer->progress().back().estimated_remaining, absl::ZeroDuration());
}

TEST_F(EngineTest, EstimatesGoByTheModelsLatentScale) {
  pipeline_options_.capabilities.latent_scale = 4;
  pipeline_options_.on_step = [this](const FakeStep&) { clock_.Advance(absl::Seconds(1)); };
  Start();
  ASSERT_TRUE(Submit("first")->WaitForEnd().ok());
  const auto observer = Submit("second");
  ASSERT_TRUE(observer->WaitForEnd().ok());
  EXPECT_EQ(observer->progress().front().estimated_remaining, absl::Seconds(kSmallSteps - 1));
  EXPECT_EQ(engine_->EstimateTimes({.images = {Small("third")}}).work, absl::Seconds(kSmallSteps));
}

TEST_F(EngineTest, WaitingRequestsHearThatTheQueueMoves) {
  options_.max_active_generations = 1;
  StartGated();
  Submit("running");
  gate_.WaitForArrivals(1);
  Submit("next");
  const auto last = Submit("last");
  EXPECT_EQ(last->queued()[0].position, 1);
  gate_.Allow(kSmallSteps);
  last->WaitForQueued(2);
  EXPECT_EQ(last->queued()[1].position, 0);
}

}  // namespace
}  // namespace kandinsky
