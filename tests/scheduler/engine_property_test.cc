#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/scheduler/engine_harness.h"

namespace kandinsky {
namespace {

class EnginePropertyTest : public EngineTest, public testing::WithParamInterface<unsigned> {};

// Random requests against random limits and failures: every accepted request ends exactly once and rightly,
// limits hold in every step, nobody does a step too many or too few, and no step is a waste.
TEST_P(EnginePropertyTest, RandomWorkloadsKeepTheContract) {
  std::mt19937 random(GetParam());
  const auto draw = [&](int low, int high) {
    return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1));
  };
  options_.max_queued_requests = 200;
  options_.max_batch_rows = draw(1, 8);
  options_.max_active_generations = draw(1, 20);
  options_.max_batch_latent_pixels = draw(1, 16) * 64 * 64;
  options_.max_times_passed_over = draw(1, 6);
  options_.probe_after_steps = draw(1, 3);
  if (draw(0, 3) == 0) options_.batch_mode = BatchMode::kStrict;
  if (draw(0, 2) == 0) pipeline_options_.out_of_memory_above_rows = draw(1, 4);
  pipeline_options_.failures = {
      {.prompt = "r7", .stage = Stage::kDenoise, .step = 0},
      {.prompt = "r13", .stage = Stage::kPrior, .step = 1, .kind = ScriptedFailure::Kind::kThrow}};
  Start(/*workers=*/draw(1, 2));

  std::vector<EngineRequest> requests;
  for (int i = 0; i < 60; ++i) {
    const std::string name = absl::StrCat("r", i);
    EngineRequest request = {.client = absl::StrCat(draw(0, 3)),
                             .priority = static_cast<Priority>(draw(0, 2))};
    GenerationRequest image = Small(name);
    image.width = 256 * draw(1, 3);
    image.prior_steps = draw(2, 5);
    image.steps = draw(1, 12);
    image.guidance_scale = static_cast<float>(draw(0, 4));
    request.images.resize(static_cast<size_t>(draw(1, 3)), image);
    requests.push_back(request);
    SubmitRequest(std::move(request));
    if (i % 5 == 4) Cancel(absl::StrCat("r", draw(0, i))).IgnoreError();
  }

  for (const auto& observer : observers_) observer->WaitForEnd().IgnoreError();
  const EngineSnapshot snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot.completed_total + snapshot.cancelled_queued_total + snapshot.cancelled_running_total +
                snapshot.failed_total,
            60);
  EXPECT_EQ(snapshot.queued_requests + snapshot.running_requests, 0u);

  for (size_t i = 0; i < requests.size(); ++i) {
    const absl::Status status = observers_[i]->WaitForEnd();
    int wanted_steps = 0;
    for (const GenerationRequest& image : requests[i].images)
      wanted_steps += 2 + image.prior_steps + image.steps;
    if (status.ok()) {
      EXPECT_EQ(observers_[i]->images().size(), requests[i].images.size());
      EXPECT_EQ(observers_[i]->progress().size(), static_cast<size_t>(wanted_steps));
    } else {
      EXPECT_LT(observers_[i]->images().size(), requests[i].images.size());
      EXPECT_LE(observers_[i]->progress().size(), static_cast<size_t>(wanted_steps));
    }
  }
  for (const FakeStep& step : log_->steps()) {
    ASSERT_FALSE(step.members.empty());
    EXPECT_LE(step.members.size(), static_cast<size_t>(options_.max_batch_rows));
    const int64_t pixels = static_cast<int64_t>(step.key.latent_height) * step.key.latent_width *
                           (step.key.guided ? 2 : 1) * static_cast<int64_t>(step.members.size());
    if (step.members.size() > 1) {
      EXPECT_LE(pixels, options_.max_batch_latent_pixels);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, EnginePropertyTest, testing::Range(1u, 21u));

// Eight threads submit and cancel on a real clock, with deadlines from past to far, failures and a small
// queue; every accepted request ends exactly once, and nothing is left (EngineTest::TearDown checks the
// observers).
TEST_F(EngineTest, SurvivesThreadsThatSubmitAndCancelAtWill) {
  constexpr int kThreads = 8;
  constexpr int kRequestsPerThread = 150;
  options_.max_queued_requests = 16;
  pipeline_options_.out_of_memory_above_rows = 5;
  pipeline_options_.failures = {
      {.prompt = "bad", .stage = Stage::kDenoise, .step = 1},
      {.prompt = "worse", .stage = Stage::kEncode, .step = 0, .kind = ScriptedFailure::Kind::kThrow}};
  engine_ = std::make_unique<Engine>(options_, LoadFake(pipeline_options_, log_, 2), Clock::Real());
  ASSERT_TRUE(engine_->WaitUntilReady().ok());

  Mutex mutex;
  int accepted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kRequestsPerThread; ++i) {
        const char* const prompts[] = {"good", "good", "good", "good", "bad", "worse"};
        EngineRequest request = {.client = absl::StrCat(t), .priority = static_cast<Priority>(random() % 3)};
        request.images.resize(1 + random() % 3, Small(prompts[random() % 6]));
        if (random() % 4 == 0) {
          request.deadline = Clock::Real().Now() + absl::Microseconds(static_cast<int>(random() % 3000));
        }
        const auto observer = std::make_shared<RecordingObserver>();
        const Submission submission = engine_->Submit(std::move(request), observer);
        if (submission.status.ok()) {
          MutexLock lock(mutex);
          ++accepted;
          observers_.push_back(observer);
        }
        if (random() % 3 == 0) engine_->Cancel(submission.number).IgnoreError();
        if (random() % 16 == 0) observer->progress();
        engine_->snapshot();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  engine_->Drain(absl::InfiniteFuture());
  // Workers drop what was ended from outside at their next look, which may come after the request's end.
  while (engine_->snapshot().active_generations > 0) std::this_thread::yield();
  const EngineSnapshot snapshot = engine_->snapshot();
  EXPECT_EQ(snapshot.completed_total + snapshot.cancelled_queued_total + snapshot.cancelled_running_total +
                snapshot.failed_total + snapshot.expired_queued_total + snapshot.expired_running_total +
                snapshot.shed_total,
            accepted);
  EXPECT_EQ(snapshot.accepted_total, accepted);
  EXPECT_EQ(snapshot.queued_requests + snapshot.running_requests, 0u);
  EXPECT_GT(snapshot.completed_total, 0);
}

// The same observer under a storm of cancels from every side at each moment of its life.
TEST_F(EngineTest, CancelRacesWithTheWorkerHarmlessly) {
  Start();
  for (int round = 0; round < 200; ++round) {
    const std::string id = absl::StrCat("r", round);
    const auto observer = Submit(id, /*images=*/2);
    std::thread other([&] { Cancel(id).IgnoreError(); });
    if (round % 2 == 0) Cancel(id).IgnoreError();
    const absl::Status status = observer->WaitForEnd();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    EXPECT_EQ(status.ok(), observer->images().size() == 2);
    other.join();
  }
}

}  // namespace
}  // namespace kandinsky
