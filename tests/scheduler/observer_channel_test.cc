#include "scheduler/observer_channel.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/fakes/recording_observer.h"

namespace kandinsky {
namespace {

ProgressUpdate Progress(int image_index, int step) {
  return {.image_index = image_index,
          .progress = {.stage = Stage::kDenoise, .step = step, .total_steps = 1000}};
}

TEST(ObserverChannelTest, CallsNobodyBeforeDeliver) {
  const auto observer = std::make_shared<RecordingObserver>();
  ObserverChannel channel(observer);
  channel.Enqueue(QueueStatus());
  EXPECT_TRUE(observer->queued().empty());
  EXPECT_FALSE(channel.Deliver());
  EXPECT_EQ(observer->queued().size(), 1u);
}

TEST(ObserverChannelTest, DropsWhatComesAfterTheEnd) {
  const auto observer = std::make_shared<RecordingObserver>();
  ObserverChannel channel(observer);
  channel.Enqueue(StartedInfo());
  channel.Enqueue(FinishedEvent{absl::CancelledError("cancelled"), {}});
  channel.Enqueue(Progress(0, 1));
  channel.Enqueue(FinishedEvent());
  EXPECT_TRUE(channel.Deliver());
  EXPECT_FALSE(channel.Deliver());
  EXPECT_TRUE(observer->progress().empty());
  EXPECT_TRUE(absl::IsCancelled(observer->WaitForEnd()));
  EXPECT_TRUE(observer->breaches().empty());
}

TEST(ObserverChannelTest, ReleasesTheObserverAfterTheEnd) {
  auto observer = std::make_shared<RecordingObserver>();
  const std::weak_ptr<RecordingObserver> watched = observer;
  ObserverChannel channel(std::move(observer));
  channel.Enqueue(FinishedEvent());
  EXPECT_FALSE(watched.expired());
  EXPECT_TRUE(channel.Deliver());
  EXPECT_TRUE(watched.expired());
}

// Forwards an event from inside a call, as a second thread would at that moment.
class ReentrantObserver : public RecordingObserver {
 public:
  ObserverChannel* channel = nullptr;

  void OnStarted(const StartedInfo& info) override {
    channel->Enqueue(FinishedEvent{absl::CancelledError("cancelled"), {}});
    EXPECT_FALSE(channel->Deliver());
    EXPECT_FALSE(finished());
    RecordingObserver::OnStarted(info);
  }
};

TEST(ObserverChannelTest, EventsThatComeDuringACallFollowIt) {
  const auto observer = std::make_shared<ReentrantObserver>();
  ObserverChannel channel(observer);
  observer->channel = &channel;
  channel.Enqueue(StartedInfo());
  EXPECT_TRUE(channel.Deliver());
  EXPECT_TRUE(observer->finished());
  EXPECT_TRUE(observer->breaches().empty());
}

TEST(ObserverChannelTest, ManyThreadsNeverCallAtOnceAndKeepTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kEvents = 500;
  const auto observer = std::make_shared<RecordingObserver>();
  ObserverChannel channel(observer);
  channel.Enqueue(StartedInfo());
  channel.Deliver();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&channel, t] {
      for (int i = 0; i < kEvents; ++i) {
        channel.Enqueue(Progress(t, i));
        channel.Deliver();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(observer->breaches().empty());
  EXPECT_EQ(observer->progress().size(), static_cast<size_t>(kThreads * kEvents));
  std::vector<int> next(kThreads, 0);
  for (const ProgressUpdate& update : observer->progress()) {
    EXPECT_EQ(update.progress.step, next[static_cast<size_t>(update.image_index)]++);
  }
}

}  // namespace
}  // namespace kandinsky
