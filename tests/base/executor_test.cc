#include "base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace kandinsky {
namespace {

// Blocks the tasks that wait on it until it is opened.
class Latch {
 public:
  void Wait() {
    MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
  }
  void WaitForWaiters(int count) {
    MutexLock lock(mutex_);
    while (waiting_ < count) changed_.Wait(mutex_);
  }
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  int waiting_ = 0;
  bool open_ = false;
};

TEST(ExecutorTest, RunsTasksInOrderOnOneThread) {
  std::vector<int> order;
  {
    Executor executor("test", 1, 100);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(executor.TrySchedule([&order, i] { order.push_back(i); }));
  }
  ASSERT_EQ(order.size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(ExecutorTest, RefusesATaskWhenTheQueueIsFull) {
  Latch latch;
  std::atomic<int> runs = 0;
  {
    Executor executor("test", 1, 2);
    ASSERT_TRUE(executor.TrySchedule([&] { latch.Wait(); }));
    latch.WaitForWaiters(1);  // the running task does not count
    EXPECT_TRUE(executor.TrySchedule([&] { ++runs; }));
    EXPECT_TRUE(executor.TrySchedule([&] { ++runs; }));
    EXPECT_EQ(executor.queued(), 2u);
    EXPECT_FALSE(executor.TrySchedule([&] { runs += 100; }));
    latch.Open();
  }
  EXPECT_EQ(runs, 2);
}

TEST(ExecutorTest, RunsAsManyTasksAtOnceAsItHasThreads) {
  Latch latch;
  Executor executor("test", 3, 3);
  for (int i = 0; i < 3; ++i) executor.Schedule([&] { latch.Wait(); });
  latch.WaitForWaiters(3);
  latch.Open();
}

TEST(ExecutorTest, RunsWhatItAcceptedBeforeItEnds) {
  std::atomic<int> runs = 0;
  {
    Executor executor("test", 2, 1000);
    for (int i = 0; i < 1000; ++i) executor.Schedule([&] { ++runs; });
  }
  EXPECT_EQ(runs, 1000);
}

TEST(ExecutorTest, ScheduleTakesATaskThatAFullQueueWouldRefuse) {
  Latch latch;
  std::vector<int> order;
  {
    Executor executor("test", 1, 1);
    executor.Schedule([&] { latch.Wait(); });
    latch.WaitForWaiters(1);
    for (int i = 0; i < 3; ++i) executor.Schedule([&order, i] { order.push_back(i); });
    EXPECT_EQ(executor.queued(), 3u);
    EXPECT_FALSE(executor.TrySchedule([] {}));
    latch.Open();
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
}

TEST(ExecutorTest, FinishesBeforeItBegins) {
  Latch latch;
  std::vector<std::string> order;
  {
    Executor executor("test", 1, 100);
    ASSERT_TRUE(executor.TrySchedule([&] { latch.Wait(); }));
    latch.WaitForWaiters(1);
    ASSERT_TRUE(executor.TrySchedule([&] {
      order.push_back("begin a");
      executor.ScheduleNext([&] { order.push_back("go on with a"); });
    }));
    ASSERT_TRUE(executor.TrySchedule([&] { order.push_back("begin b"); }));
    executor.Schedule([&] { order.push_back("finish"); });
    latch.Open();
  }
  EXPECT_EQ(order, (std::vector<std::string>{"finish", "begin a", "begin b", "go on with a"}));
}

}  // namespace
}  // namespace kandinsky
