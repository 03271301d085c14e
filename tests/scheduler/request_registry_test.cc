#include "scheduler/request_registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "pipeline/kandinsky22/request_plan.h"
#include "tests/fakes/fake_clock.h"
#include "tests/fakes/recording_observer.h"

namespace kandinsky {
namespace {

std::shared_ptr<const Plan> PlanOf(const GenerationRequest& image) {
  return std::make_shared<const Plan>(PlanRequest(image, {}));
}

class RequestRegistryTest : public testing::Test {
 protected:
  RequestRegistryTest() {
    options_.max_queued_requests = 3;
    registry_.AddReadyWorkers(+1, /*restarted=*/false);
  }

  std::shared_ptr<LiveRequest> Make(size_t images = 1, absl::Time deadline = absl::InfiniteFuture()) {
    observers_.push_back(std::make_shared<RecordingObserver>());
    return std::make_shared<LiveRequest>(observers_.size(),
                                         EngineRequest{.images = std::vector<GenerationRequest>(images),
                                                       .plan = PlanOf(GenerationRequest()),
                                                       .deadline = deadline},
                                         observers_.back(), clock_.Now());
  }

  RefusalReason TryAdd(const std::shared_ptr<LiveRequest>& request, const std::string& client = "") {
    return TryAdd(registry_, request, client);
  }

  RefusalReason TryAdd(RequestRegistry& registry, const std::shared_ptr<LiveRequest>& request,
                       const std::string& client = "") {
    return registry.Add(request,
                        {.number = request->number(),
                         .client = client,
                         .arrival = clock_.Now(),
                         .images = static_cast<int>(request->images().size())},
                        {});
  }

  std::shared_ptr<LiveRequest> Add(size_t images = 1, absl::Time deadline = absl::InfiniteFuture(),
                                   const std::string& client = "") {
    const std::shared_ptr<LiveRequest> request = Make(images, deadline);
    EXPECT_EQ(TryAdd(request, client), RefusalReason::kNone);
    return request;
  }

  // Begins `images` images for a worker with room for no more.
  std::vector<BegunImage> Begin(int images) {
    options_.max_active_generations = images;
    return registry_.Begin({}, 0);
  }

  EngineOptions options_;
  FakeClock clock_;
  RequestRegistry registry_{options_, clock_};
  std::vector<std::shared_ptr<RecordingObserver>> observers_;
};

TEST_F(RequestRegistryTest, RefusesTheFirstRequestBeyondTheQueue) {
  for (int i = 0; i < 3; ++i) Add();
  EXPECT_EQ(TryAdd(Make()), RefusalReason::kQueueFull);
  EXPECT_TRUE(observers_.back()->queued().empty());
  ASSERT_EQ(Begin(1).size(), 1u);
  EXPECT_EQ(TryAdd(Make()), RefusalReason::kNone);
  EXPECT_EQ(registry_.counts().rejected_total, 1);
  EXPECT_EQ(registry_.counts().accepted_total, 4);
}

TEST_F(RequestRegistryTest, CheckSaysWhatAddWouldAndChangesNothing) {
  const QueuedRequest queued = {.number = 9, .arrival = clock_.Now(), .images = 1};
  EXPECT_EQ(registry_.Check(queued, {}, absl::InfiniteFuture()), RefusalReason::kNone);
  EXPECT_EQ(registry_.counts().queued_requests, 0u);
  EXPECT_EQ(registry_.Check(queued, {}, clock_.Now()), RefusalReason::kDeadlinePassed);
  EXPECT_EQ(registry_.counts().rejected_total, 1);
  for (int i = 0; i < 3; ++i) Add();
  EXPECT_EQ(registry_.Check(queued, {}, absl::InfiniteFuture()), RefusalReason::kQueueFull);
  EXPECT_EQ(registry_.counts().queued_requests, 3u);
}

TEST_F(RequestRegistryTest, RefusesEverythingAfterStopAccepting) {
  registry_.StopAccepting();
  EXPECT_EQ(TryAdd(Make()), RefusalReason::kDraining);
}

TEST_F(RequestRegistryTest, RefusesEverythingWithoutAWorker) {
  registry_.AddReadyWorkers(-1, /*restarted=*/false);
  EXPECT_EQ(TryAdd(Make()), RefusalReason::kNoWorker);
}

TEST_F(RequestRegistryTest, AFullQueueGivesThePlaceOfTheGreediestClientToAnother) {
  for (int i = 0; i < 3; ++i) Add(1, absl::InfiniteFuture(), "greedy");
  EXPECT_EQ(TryAdd(Make(), "greedy"), RefusalReason::kQueueFull);
  EXPECT_EQ(TryAdd(Make(), "polite"), RefusalReason::kNone);
  EXPECT_TRUE(absl::IsAborted(observers_[2]->WaitForEnd()));
  EXPECT_FALSE(observers_[0]->finished());
  EXPECT_EQ(registry_.counts().shed_total, 1);
  EXPECT_EQ(registry_.counts().queued_requests, 3u);
}

TEST_F(RequestRegistryTest, BeginsRequestsInTheOrderOfArrival) {
  const auto first = Add();
  const auto second = Add();
  EXPECT_EQ(Begin(1).front().request, first);
  EXPECT_EQ(Begin(2).front().request, second);
  EXPECT_TRUE(registry_.Begin({}, 1).empty());
  EXPECT_TRUE(observers_[0]->started());
}

TEST_F(RequestRegistryTest, BeginsALargeRequestImageByImage) {
  const auto large = Add(3);
  const auto small = Add(1);
  const std::vector<BegunImage> first = Begin(2);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[1].request, large);
  EXPECT_EQ(first[1].index, 1);
  EXPECT_EQ(large->state(), RequestState::kRunning);
  const std::vector<BegunImage> rest = Begin(4);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].request, large);
  EXPECT_EQ(rest[0].index, 2);
  EXPECT_EQ(rest[1].request, small);
  EXPECT_EQ(observers_[0]->starts().size(), 1u);
}

TEST_F(RequestRegistryTest, WorkersShareWhatWaitsEvenly) {
  registry_.AddReadyWorkers(+1, /*restarted=*/false);
  Add(5);
  EXPECT_EQ(registry_.Begin({}, 0).size(), 2u);
  EXPECT_EQ(registry_.Begin({}, 0).size(), 3u);
}

TEST_F(RequestRegistryTest, AnIdleWorkerHoldsTheFirstRequestForTheBatchDelay) {
  options_.batch_delay = absl::Seconds(1);
  options_.preferred_batch_rows = 2;
  Add();
  std::vector<BegunImage> begun;
  std::thread worker([&] { begun = registry_.Begin({}, 0); });
  clock_.Advance(absl::Milliseconds(999));
  EXPECT_FALSE(observers_[0]->started());
  clock_.Advance(absl::Milliseconds(1));
  worker.join();
  EXPECT_EQ(begun.size(), 1u);
}

TEST_F(RequestRegistryTest, EnoughImagesEndTheBatchDelay) {
  options_.batch_delay = absl::Hours(1);
  options_.preferred_batch_rows = 2;
  Add();
  std::vector<BegunImage> begun;
  std::thread worker([&] { begun = registry_.Begin({}, 0); });
  Add();
  worker.join();
  EXPECT_EQ(begun.size(), 2u);
}

TEST_F(RequestRegistryTest, ABusyWorkerBeginsWithoutDelay) {
  Add();
  ASSERT_EQ(Begin(2).size(), 1u);
  options_.batch_delay = absl::Hours(1);
  Add();
  EXPECT_EQ(registry_.Begin({}, 1).size(), 1u);
}

TEST_F(RequestRegistryTest, AStrictBatchIsFormedByAnIdleWorkerOnly) {
  options_.batch_mode = BatchMode::kStrict;
  options_.max_batch_rows = 2;
  options_.preferred_batch_rows = 2;
  Add(3);
  EXPECT_TRUE(registry_.Begin({}, 1).empty());
  EXPECT_EQ(registry_.Begin({}, 0).size(), 2u);
}

TEST_F(RequestRegistryTest, EndsARequestOnce) {
  const std::shared_ptr<LiveRequest> request = Add();
  EXPECT_TRUE(registry_.End(request, RequestState::kExpired, absl::DeadlineExceededError("late")));
  EXPECT_FALSE(registry_.End(request, RequestState::kCancelled, absl::CancelledError("")));
  EXPECT_TRUE(absl::IsDeadlineExceeded(observers_[0]->WaitForEnd()));
  EXPECT_TRUE(observers_[0]->breaches().empty());
  EXPECT_EQ(registry_.counts().expired_queued_total, 1);
  EXPECT_EQ(registry_.counts().cancelled_queued_total, 0);
}

TEST_F(RequestRegistryTest, AnEndedRequestIsNeitherFoundNorBegun) {
  const std::shared_ptr<LiveRequest> request = Add();
  EXPECT_EQ(registry_.Find(request->number()), request);
  registry_.End(request, RequestState::kCancelled, absl::CancelledError(""));
  EXPECT_EQ(registry_.Find(request->number()), nullptr);
  EXPECT_TRUE(registry_.Begin({}, 1).empty());
  EXPECT_EQ(registry_.counts().queued_requests, 0u);
}

TEST_F(RequestRegistryTest, CountsEveryKindOfEndApart) {
  using Counts = RequestRegistry::Counts;
  const std::pair<RequestState, int64_t Counts::*> kinds[] = {
      {RequestState::kCompleted, &Counts::completed_total},
      {RequestState::kRejected, &Counts::rejected_total},
      {RequestState::kFailed, &Counts::failed_total},
      {RequestState::kCancelled, &Counts::cancelled_running_total},
      {RequestState::kExpired, &Counts::expired_running_total}};
  const auto total = [&](const Counts& counts) {
    int64_t sum = 0;
    for (const auto& [end, count] : kinds) sum += counts.*count;
    return sum;
  };
  for (const auto& [end, count] : kinds) {
    const Counts before = registry_.counts();
    const std::shared_ptr<LiveRequest> request = Add();
    ASSERT_EQ(Begin(1).size(), 1u);
    EXPECT_EQ(registry_.counts().running_requests, 1u);
    registry_.End(request, end, absl::OkStatus());
    registry_.Release(1, 0);
    const Counts after = registry_.counts();
    EXPECT_EQ(after.running_requests, 0u);
    EXPECT_EQ(after.*count, before.*count + 1);
    EXPECT_EQ(total(after), total(before) + 1);
  }
}

TEST_F(RequestRegistryTest, CountsOnlyStepsThatWouldHaveRunAsSaved) {
  GenerationRequest image;
  image.prompt = "cat";
  image.task = ImageToImage{.init = {.image = nullptr, .strength = 0.5}};
  observers_.push_back(std::make_shared<RecordingObserver>());
  const auto request = std::make_shared<LiveRequest>(observers_.size(),
                                                     EngineRequest{.images = {image}, .plan = PlanOf(image)},
                                                     observers_.back(), clock_.Now());
  ASSERT_EQ(TryAdd(request), RefusalReason::kNone);
  registry_.End(request, RequestState::kCancelled, absl::CancelledError(""));
  EXPECT_EQ(registry_.counts().steps_saved_total, request->plan()->TotalSteps());
  EXPECT_LT(registry_.counts().steps_saved_total, image.prior_steps + image.steps);
}

TEST_F(RequestRegistryTest, CountsTheStepsThatAnEndedRequestDidNotTake) {
  const std::shared_ptr<LiveRequest> request = Add(2);
  const GenerationRequest& image = request->images()[0];
  const int steps = 1 + image.prior_steps + image.steps + 1;
  ASSERT_EQ(Begin(1).size(), 1u);
  registry_.End(request, RequestState::kCancelled, absl::CancelledError(""));
  EXPECT_EQ(registry_.counts().steps_saved_total, steps);
  registry_.Release(1, 7);
  EXPECT_EQ(registry_.counts().steps_saved_total, steps + 7);
  EXPECT_EQ(registry_.counts().active_generations, 0);
}

TEST_F(RequestRegistryTest, CompletesWithTheLastImageOrNotAtAll) {
  const std::shared_ptr<LiveRequest> completed = Add(2);
  const std::shared_ptr<LiveRequest> cancelled = Add();
  ASSERT_EQ(Begin(3).size(), 3u);
  registry_.CompleteImage(completed, {});
  EXPECT_FALSE(observers_[0]->finished());
  registry_.CompleteImage(completed, {});
  EXPECT_TRUE(observers_[0]->WaitForEnd().ok());
  EXPECT_EQ(observers_[0]->images().size(), 2u);
  registry_.End(cancelled, RequestState::kCancelled, absl::CancelledError(""));
  registry_.CompleteImage(cancelled, {});
  EXPECT_TRUE(observers_[1]->images().empty());
  EXPECT_EQ(registry_.counts().completed_total, 1);
}

TEST_F(RequestRegistryTest, TellsWaitingRequestsTheirNewPlaceOnce) {
  for (int i = 0; i < 3; ++i) Add();
  ASSERT_EQ(Begin(1).size(), 1u);
  const std::vector<absl::Duration> delays = {absl::Seconds(5), absl::Seconds(7)};
  registry_.PostQueueStatus(registry_.Order(), delays);
  registry_.PostQueueStatus(registry_.Order(), delays);
  ASSERT_EQ(observers_[2]->queued().size(), 2u);
  EXPECT_EQ(observers_[2]->queued()[0].position, 2);
  EXPECT_EQ(observers_[2]->queued()[1].position, 1);
  EXPECT_EQ(observers_[2]->queued()[1].estimated_wait, absl::Seconds(7));
}

TEST_F(RequestRegistryTest, QueueStatusSkipsRequestsThatWaitNoMore) {
  for (int i = 0; i < 3; ++i) Add();
  const std::vector<WaitingRequest> order = registry_.Order();
  ASSERT_EQ(Begin(1).size(), 1u);
  registry_.End(order[1].request, RequestState::kCancelled, absl::CancelledError(""));
  registry_.PostQueueStatus({order[1], order[0], order[2]},
                            {absl::Seconds(1), absl::Seconds(2), absl::Seconds(3)});
  EXPECT_EQ(observers_[0]->queued().size(), 1u);
  EXPECT_EQ(observers_[1]->queued().size(), 1u);
}

TEST_F(RequestRegistryTest, ListsOverdueRequestsWaitingOrRunning) {
  Add(1, clock_.Now() + absl::Seconds(1));
  Add(1, clock_.Now() + absl::Seconds(2));
  Add(1, clock_.Now() + absl::Seconds(9));
  ASSERT_EQ(Begin(1).size(), 1u);
  EXPECT_TRUE(registry_.Overdue(clock_.Now()).empty());
  EXPECT_EQ(registry_.Overdue(clock_.Now() + absl::Seconds(2)).size(), 2u);
}

TEST_F(RequestRegistryTest, WaitForChangeReturnsAtTheEarliestDeadline) {
  std::thread watcher([&] { EXPECT_TRUE(registry_.WaitForChange(absl::InfiniteFuture())); });
  Add(1, clock_.Now() + absl::Seconds(9));
  Add(1, clock_.Now() + absl::Seconds(3));
  clock_.Advance(absl::Seconds(3));
  watcher.join();
}

TEST_F(RequestRegistryTest, WaitForChangeTellsOfAMovingQueueNotBeforeItsTime) {
  const absl::Time not_before = clock_.Now() + absl::Seconds(1);
  bool told = false;
  std::thread watcher([&] {
    EXPECT_TRUE(registry_.WaitForChange(not_before));
    told = clock_.Now() >= not_before;
  });
  Add();
  Add();
  ASSERT_EQ(Begin(1).size(), 1u);
  clock_.Advance(absl::Seconds(1));
  watcher.join();
  EXPECT_TRUE(told);
}

// The real clock, which also tells when somebody begins to wait.
class TellingClock : public Clock {
 public:
  absl::Time Now() const override { return Clock::Real().Now(); }

  void WaitUntil(Mutex& mutex, ConditionVariable& condition, absl::Time deadline) override REQUIRES(mutex) {
    {
      MutexLock lock(mutex_);
      waiting_ = true;
      changed_.NotifyAll();
    }
    Clock::Real().WaitUntil(mutex, condition, deadline);
  }

  void WaitForWaiter() {
    MutexLock lock(mutex_);
    while (!waiting_) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  bool waiting_ GUARDED_BY(mutex_) = false;
};

TEST_F(RequestRegistryTest, ANewEarliestDeadlineShortensTheWait) {
  TellingClock clock;
  RequestRegistry registry(options_, clock);
  registry.AddReadyWorkers(+1, /*restarted=*/false);
  std::thread watcher([&] { EXPECT_TRUE(registry.WaitForChange(absl::InfiniteFuture())); });
  clock.WaitForWaiter();
  const absl::Time deadline = clock.Now() + absl::Milliseconds(1);
  EXPECT_EQ(TryAdd(registry, Make(1, deadline)), RefusalReason::kNone);
  watcher.join();
  EXPECT_GE(clock.Now(), deadline);
}

TEST_F(RequestRegistryTest, CloseEndsEveryWait) {
  std::thread watcher([&] { EXPECT_FALSE(registry_.WaitForChange(absl::InfiniteFuture())); });
  std::thread worker([&] { EXPECT_TRUE(registry_.Begin({}, 0).empty()); });
  std::thread lost([&] { EXPECT_TRUE(registry_.WaitUntilClosed(absl::InfiniteFuture())); });
  registry_.Close();
  watcher.join();
  worker.join();
  lost.join();
}

TEST_F(RequestRegistryTest, WaitUntilIdleReturnsAtItsDeadlineOrWhenTheLastRequestEnds) {
  const std::shared_ptr<LiveRequest> request = Add();
  const absl::Time deadline = clock_.Now() + absl::Seconds(1);
  std::thread impatient([&] { registry_.WaitUntilIdle(deadline); });
  clock_.Advance(absl::Seconds(2));
  impatient.join();
  std::thread patient([&] { registry_.WaitUntilIdle(absl::InfiniteFuture()); });
  registry_.End(request, RequestState::kCancelled, absl::CancelledError(""));
  patient.join();
}

}  // namespace
}  // namespace kandinsky
