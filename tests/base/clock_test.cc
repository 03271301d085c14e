#include "base/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/fakes/fake_clock.h"

namespace kandinsky {
namespace {

TEST(FakeClockTest, StandsStillUntilAdvanced) {
  FakeClock clock(absl::UnixEpoch());
  EXPECT_EQ(clock.Now(), absl::UnixEpoch());
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.Now(), absl::UnixEpoch() + absl::Seconds(3));
}

TEST(FakeClockTest, WaitUntilReturnsAtOnceWhenTheDeadlineHasPassed) {
  FakeClock clock;
  Mutex mutex;
  ConditionVariable condition;
  MutexLock lock(mutex);
  clock.WaitUntil(mutex, condition, clock.Now());
}

TEST(FakeClockTest, AdvanceWakesAWaiterWhoseDeadlineComes) {
  FakeClock clock;
  const absl::Time deadline = clock.Now() + absl::Seconds(10);
  Mutex mutex;
  ConditionVariable condition;
  std::thread waiter([&] {
    MutexLock lock(mutex);
    while (clock.Now() < deadline) clock.WaitUntil(mutex, condition, deadline);
  });
  clock.Advance(absl::Seconds(4));
  clock.Advance(absl::Seconds(6));
  waiter.join();
}

TEST(FakeClockTest, ANotificationWakesAWaiterWithoutADeadline) {
  FakeClock clock;
  Mutex mutex;
  ConditionVariable condition;
  bool ready = false;
  std::thread waiter([&] {
    MutexLock lock(mutex);
    while (!ready) clock.WaitUntil(mutex, condition, absl::InfiniteFuture());
  });
  {
    MutexLock lock(mutex);
    ready = true;
    condition.NotifyAll();
  }
  waiter.join();
}

TEST(FakeClockTest, WakesEveryOneOfManyWaiters) {
  FakeClock clock;
  const absl::Time deadline = clock.Now() + absl::Seconds(1);
  Mutex mutex;
  ConditionVariable condition;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.emplace_back([&] {
      MutexLock lock(mutex);
      while (clock.Now() < deadline) clock.WaitUntil(mutex, condition, deadline);
    });
  }
  clock.Advance(absl::Seconds(1));
  for (std::thread& waiter : waiters) waiter.join();
}

TEST(RealClockTest, NeverGoesBack) {
  absl::Time last = Clock::Real().Now();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = Clock::Real().Now();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST(RealClockTest, WaitUntilEndsAtItsDeadlineAndNotBefore) {
  Mutex mutex;
  ConditionVariable condition;
  const absl::Time deadline = Clock::Real().Now() + absl::Milliseconds(2);
  MutexLock lock(mutex);
  while (Clock::Real().Now() < deadline) Clock::Real().WaitUntil(mutex, condition, deadline);
  EXPECT_GE(Clock::Real().Now(), deadline);
}

TEST(RealClockTest, WaitsForANotificationHoweverFarTheDeadlineIs) {
  for (const absl::Time deadline :
       {absl::InfiniteFuture(), absl::UnixEpoch() + absl::Hours(24 * 366 * 5000)}) {
    Mutex mutex;
    ConditionVariable condition;
    bool ready = false;
    std::atomic<int> wakes = 0;
    std::thread waiter([&] {
      MutexLock lock(mutex);
      while (!ready) {
        Clock::Real().WaitUntil(mutex, condition, deadline);
        ++wakes;
      }
    });
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    {
      MutexLock lock(mutex);
      ready = true;
      condition.NotifyAll();
    }
    waiter.join();
    EXPECT_LE(wakes, 2);  // a deadline that overflowed would let the loop spin
  }
}

}  // namespace
}  // namespace kandinsky
