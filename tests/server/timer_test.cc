#include "server/timer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/fakes/fake_clock.h"

namespace kandinsky::server {
namespace {

using testing::ElementsAre;

// Notes which callbacks ran, and lets a test wait for them.
class Calls {
 public:
  std::function<void()> Callback(int name) {
    return [this, name] {
      MutexLock lock(mutex_);
      names_.push_back(name);
      changed_.NotifyAll();
    };
  }
  std::vector<int> WaitFor(size_t count) {
    MutexLock lock(mutex_);
    while (names_.size() < count) changed_.Wait(mutex_);
    return names_;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::vector<int> names_ GUARDED_BY(mutex_);
};

TEST(Timer, RunsCallbacksInTheOrderOfTheirTimes) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  const absl::Time now = clock.Now();
  timer.At(now + absl::Seconds(3), calls.Callback(3));
  timer.At(now + absl::Seconds(1), calls.Callback(1));
  timer.At(now + absl::Seconds(2), calls.Callback(2));
  clock.Advance(absl::Seconds(3));
  EXPECT_THAT(calls.WaitFor(3), ElementsAre(1, 2, 3));
}

TEST(Timer, RunsACallbackOfThePastAtOnce) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  timer.At(clock.Now() - absl::Seconds(1), calls.Callback(1));
  EXPECT_THAT(calls.WaitFor(1), ElementsAre(1));
}

TEST(Timer, RunsNothingBeforeItsTime) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  timer.At(clock.Now() + absl::Seconds(2), calls.Callback(2));
  timer.At(clock.Now() + absl::Seconds(1), calls.Callback(1));
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(calls.WaitFor(1), ElementsAre(1));
}

TEST(Timer, DoesNotRunACancelledCallback) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  const absl::Time time = clock.Now() + absl::Seconds(1);
  const Timer::Id id = timer.At(time, calls.Callback(1));
  timer.At(time, calls.Callback(2));
  timer.Cancel(time, id);
  timer.Cancel(time, id);  // harmless
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(calls.WaitFor(1), ElementsAre(2));
}

TEST(Timer, ACallbackMaySetAnother) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  timer.At(clock.Now(), [&] { timer.At(clock.Now(), calls.Callback(1)); });
  EXPECT_THAT(calls.WaitFor(1), ElementsAre(1));
}

TEST(Timer, DropsWhatIsLeftWhenItStops) {
  FakeClock clock;
  Calls calls;
  Timer timer(clock);
  timer.At(clock.Now() + absl::Seconds(1), calls.Callback(1));
  timer.Stop();
  timer.At(clock.Now(), calls.Callback(2));
  clock.Advance(absl::Seconds(1));
  EXPECT_THAT(calls.WaitFor(0), ElementsAre());
}

}  // namespace
}  // namespace kandinsky::server
