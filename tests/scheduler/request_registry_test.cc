#include "scheduler/request_registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/fakes/recording_observer.h"

namespace kandinsky {
namespace {

class RequestRegistryTest : public testing::Test {
 protected:
  std::shared_ptr<LiveRequest> Make(const std::string& id, size_t images = 1,
                                    absl::Time deadline = absl::InfiniteFuture()) {
    observers_.push_back(std::make_shared<RecordingObserver>());
    return std::make_shared<LiveRequest>(
        EngineRequest{.id = id, .images = std::vector<GenerationRequest>(images), .deadline = deadline},
        observers_.back(), clock_.Now());
  }

  std::shared_ptr<LiveRequest> Add(const std::string& id, size_t images = 1,
                                   absl::Time deadline = absl::InfiniteFuture()) {
    const std::shared_ptr<LiveRequest> request = Make(id, images, deadline);
    EXPECT_TRUE(registry_.Add(request, absl::ZeroDuration()).ok());
    return request;
  }

  FakeClock clock_;
  RequestRegistry registry_{3, clock_};
  std::vector<std::shared_ptr<RecordingObserver>> observers_;
};

TEST_F(RequestRegistryTest, RefusesTheFirstRequestBeyondTheQueue) {
  for (const char* id : {"a", "b", "c"}) Add(id);
  EXPECT_TRUE(absl::IsResourceExhausted(registry_.Add(Make("d"), absl::ZeroDuration())));
  EXPECT_TRUE(observers_.back()->queued().empty());
  ASSERT_NE(registry_.TryTake({}, 1), nullptr);
  EXPECT_TRUE(registry_.Add(Make("d"), absl::ZeroDuration()).ok());
  EXPECT_EQ(registry_.counts().rejected, 1);
}

TEST_F(RequestRegistryTest, RefusesTheIdOfALiveRequestOnly) {
  const std::shared_ptr<LiveRequest> first = Add("a");
  EXPECT_EQ(registry_.Add(Make("a"), absl::ZeroDuration()).code(), absl::StatusCode::kAlreadyExists);
  registry_.End(first, RequestState::kCancelled, absl::CancelledError(""));
  EXPECT_TRUE(registry_.Add(Make("a"), absl::ZeroDuration()).ok());
}

TEST_F(RequestRegistryTest, RefusesEverythingAfterStopAccepting) {
  registry_.StopAccepting();
  EXPECT_TRUE(absl::IsUnavailable(registry_.Add(Make("a"), absl::ZeroDuration())));
}

TEST_F(RequestRegistryTest, StartsRequestsInTheOrderOfArrival) {
  Add("a");
  Add("b");
  EXPECT_EQ(registry_.TryTake({}, 1)->id(), "a");
  EXPECT_EQ(registry_.TryTake({}, 1)->id(), "b");
  EXPECT_EQ(registry_.TryTake({}, 1), nullptr);
  EXPECT_TRUE(observers_[0]->started());
}

TEST_F(RequestRegistryTest, DoesNotStartARequestThatHasNoRoomOrOvertakeIt) {
  Add("large", 3);
  Add("small", 1);
  EXPECT_EQ(registry_.TryTake({}, 2), nullptr);
  EXPECT_EQ(registry_.TryTake({}, 3)->id(), "large");
  EXPECT_EQ(registry_.TryTake({}, 2)->id(), "small");
}

TEST_F(RequestRegistryTest, AnIdleWorkerTakesARequestOfAnySize) {
  Add("large", 100);
  EXPECT_EQ(registry_.WaitAndTake({})->id(), "large");
}

TEST_F(RequestRegistryTest, EndsARequestOnce) {
  const std::shared_ptr<LiveRequest> request = Add("a");
  EXPECT_TRUE(registry_.End(request, RequestState::kExpired, absl::DeadlineExceededError("late")));
  EXPECT_FALSE(registry_.End(request, RequestState::kCancelled, absl::CancelledError("")));
  EXPECT_TRUE(absl::IsDeadlineExceeded(observers_[0]->WaitForEnd()));
  EXPECT_TRUE(observers_[0]->breaches().empty());
  EXPECT_EQ(registry_.counts().expired, 1);
  EXPECT_EQ(registry_.counts().cancelled, 0);
}

TEST_F(RequestRegistryTest, AnEndedRequestIsNeitherFoundNorTaken) {
  const std::shared_ptr<LiveRequest> request = Add("a");
  EXPECT_EQ(registry_.Find("a"), request);
  registry_.End(request, RequestState::kCancelled, absl::CancelledError(""));
  EXPECT_EQ(registry_.Find("a"), nullptr);
  EXPECT_EQ(registry_.TryTake({}, 1), nullptr);
  EXPECT_EQ(registry_.counts().queued, 0u);
}

TEST_F(RequestRegistryTest, CountsEveryKindOfEndApart) {
  const std::pair<RequestState, int64_t RequestRegistry::Counts::*> kinds[] = {
      {RequestState::kCompleted, &RequestRegistry::Counts::completed},
      {RequestState::kRejected, &RequestRegistry::Counts::rejected},
      {RequestState::kFailed, &RequestRegistry::Counts::failed},
      {RequestState::kCancelled, &RequestRegistry::Counts::cancelled},
      {RequestState::kExpired, &RequestRegistry::Counts::expired}};
  for (const auto& [end, count] : kinds) {
    const RequestRegistry::Counts before = registry_.counts();
    const std::shared_ptr<LiveRequest> request = Add("a");
    registry_.TryTake({}, 1);
    EXPECT_EQ(registry_.counts().running, 1u);
    registry_.End(request, end, absl::OkStatus());
    const RequestRegistry::Counts after = registry_.counts();
    EXPECT_EQ(after.running, 0u);
    EXPECT_EQ(after.*count, before.*count + 1);
    EXPECT_EQ(after.completed + after.rejected + after.failed + after.cancelled + after.expired,
              before.completed + before.rejected + before.failed + before.cancelled + before.expired + 1);
  }
}

TEST_F(RequestRegistryTest, CompletesWithTheLastImageOrNotAtAll) {
  const std::shared_ptr<LiveRequest> completed = Add("a");
  const std::shared_ptr<LiveRequest> cancelled = Add("b");
  registry_.TryTake({}, 1);
  registry_.TryTake({}, 1);
  registry_.Complete(completed, {});
  EXPECT_TRUE(observers_[0]->WaitForEnd().ok());
  EXPECT_EQ(observers_[0]->images().size(), 1u);
  registry_.End(cancelled, RequestState::kCancelled, absl::CancelledError(""));
  registry_.Complete(cancelled, {});
  EXPECT_TRUE(observers_[1]->images().empty());
  EXPECT_EQ(registry_.counts().completed, 1);
}

TEST_F(RequestRegistryTest, TellsWaitingRequestsTheirNewPlaceOnce) {
  for (const char* id : {"a", "b", "c"}) Add(id);
  registry_.TryTake({}, 1);
  const std::vector<absl::Duration> delays = {absl::Seconds(5), absl::Seconds(7)};
  registry_.PostQueueStatus(registry_.Waiting(), delays);
  registry_.PostQueueStatus(registry_.Waiting(), delays);
  ASSERT_EQ(observers_[2]->queued().size(), 2u);
  EXPECT_EQ(observers_[2]->queued()[0].position, 2);
  EXPECT_EQ(observers_[2]->queued()[1].position, 1);
  EXPECT_EQ(observers_[2]->queued()[1].estimated_wait, absl::Seconds(7));
}

TEST_F(RequestRegistryTest, QueueStatusSkipsRequestsThatWaitNoMore) {
  for (const char* id : {"a", "b", "c"}) Add(id);
  const std::vector<std::shared_ptr<LiveRequest>> waiting = registry_.Waiting();
  registry_.TryTake({}, 1);
  registry_.End(waiting[1], RequestState::kCancelled, absl::CancelledError(""));
  registry_.PostQueueStatus(waiting, {absl::Seconds(1), absl::Seconds(2), absl::Seconds(3)});
  EXPECT_EQ(observers_[0]->queued().size(), 1u);
  EXPECT_EQ(observers_[1]->queued().size(), 1u);
  ASSERT_EQ(observers_[2]->queued().size(), 2u);
  EXPECT_EQ(observers_[2]->queued()[1].position, 0);
  EXPECT_EQ(observers_[2]->queued()[1].estimated_wait, absl::Seconds(3));
}

TEST_F(RequestRegistryTest, ListsOverdueRequestsWaitingOrRunning) {
  Add("running", 1, clock_.Now() + absl::Seconds(1));
  Add("waiting", 1, clock_.Now() + absl::Seconds(2));
  Add("later", 1, clock_.Now() + absl::Seconds(9));
  registry_.TryTake({}, 1);
  EXPECT_TRUE(registry_.Overdue(clock_.Now()).empty());
  EXPECT_EQ(registry_.Overdue(clock_.Now() + absl::Seconds(2)).size(), 2u);
}

TEST_F(RequestRegistryTest, WaitForChangeReturnsAtTheEarliestDeadline) {
  std::thread watcher([&] { EXPECT_TRUE(registry_.WaitForChange()); });
  Add("a", 1, clock_.Now() + absl::Seconds(9));
  Add("b", 1, clock_.Now() + absl::Seconds(3));
  clock_.Advance(absl::Seconds(3));
  watcher.join();
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
  RequestRegistry registry(3, clock);
  std::thread watcher([&] { EXPECT_TRUE(registry.WaitForChange()); });
  clock.WaitForWaiter();
  const absl::Time deadline = clock.Now() + absl::Milliseconds(1);
  EXPECT_TRUE(registry.Add(Make("a", 1, deadline), absl::ZeroDuration()).ok());
  watcher.join();
  EXPECT_GE(clock.Now(), deadline);
}

TEST_F(RequestRegistryTest, CloseEndsEveryWait) {
  std::thread watcher([&] { EXPECT_FALSE(registry_.WaitForChange()); });
  std::thread worker([&] { EXPECT_EQ(registry_.WaitAndTake({}), nullptr); });
  registry_.Close();
  watcher.join();
  worker.join();
}

TEST_F(RequestRegistryTest, WaitUntilIdleReturnsAtItsDeadlineOrWhenTheLastRequestEnds) {
  const std::shared_ptr<LiveRequest> request = Add("a");
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
