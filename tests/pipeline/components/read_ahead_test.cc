#include "pipeline/components/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace kandinsky {
namespace {

// Parts of 10 bytes that count themselves.
std::vector<ReadAhead::Part> CountingParts(int count, std::atomic<int>& read) {
  std::vector<ReadAhead::Part> parts;
  for (int i = 0; i < count; ++i) parts.push_back({.read = [&read] { ++read; }, .bytes = 10});
  return parts;
}

void WaitUntil(const std::atomic<int>& value, int wanted) {
  while (value < wanted) std::this_thread::yield();
}

TEST(ReadAheadTest, StaysWithinItsLimitOfWhatIsUsed) {
  std::atomic<int> read = 0;
  {
    ReadAhead ahead(CountingParts(100, read), 30);
    WaitUntil(read, 3);
    ahead.Use(10);
    WaitUntil(read, 4);
    ahead.Use(20);
    WaitUntil(read, 6);
  }
  EXPECT_EQ(read, 6);
}

TEST(ReadAheadTest, APartLargerThanTheLimitIsReadWhenAllBeforeItIsUsed) {
  std::atomic<int> read = 0;
  {
    ReadAhead ahead(CountingParts(3, read), 5);
    WaitUntil(read, 1);
    ahead.Use(10);
    WaitUntil(read, 2);
  }
  EXPECT_EQ(read, 2);
}

TEST(ReadAheadTest, NothingToReadAndAnEarlyEndDoNotHang) {
  std::atomic<int> read = 0;
  { ReadAhead ahead({}, 30); }
  { ReadAhead ahead(CountingParts(100, read), 10); }
  EXPECT_LE(read, 1);
}

}  // namespace
}  // namespace kandinsky
