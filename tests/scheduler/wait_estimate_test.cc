#include "scheduler/wait_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;

std::vector<absl::Duration> Works(std::initializer_list<int> seconds) {
  std::vector<absl::Duration> works;
  for (const int work : seconds) works.push_back(absl::Seconds(work));
  return works;
}

TEST(WaitEstimateTest, IsZeroWhileThereIsRoom) {
  EXPECT_THAT(EstimateStartDelays(Works({10}), {Works({5})}, 2, 1), ElementsAre(absl::ZeroDuration()));
}

TEST(WaitEstimateTest, WaitsForTheOneThatRunsWhenThereIsRoomForOne) {
  EXPECT_THAT(EstimateStartDelays(Works({10}), {Works({5}), Works({1})}, 1, 1),
              ElementsAre(absl::Seconds(10), absl::Seconds(15)));
}

TEST(WaitEstimateTest, GenerationsUnderWayShareTheDevice) {
  // 4 s of work each on one device: both end after 8 s, the shorter of 2 s and 6 s after 4 s.
  EXPECT_THAT(EstimateStartDelays(Works({4, 4}), {Works({1})}, 2, 1), ElementsAre(absl::Seconds(8)));
  EXPECT_THAT(EstimateStartDelays(Works({2, 6}), {Works({1})}, 2, 1), ElementsAre(absl::Seconds(4)));
}

TEST(WaitEstimateTest, ARequestOfManyImagesStartsWithItsFirst) {
  EXPECT_THAT(EstimateStartDelays(Works({2, 6}), {Works({1, 1})}, 2, 1), ElementsAre(absl::Seconds(4)));
  EXPECT_THAT(EstimateStartDelays(Works({3}), {Works({1, 1, 1})}, 2, 1), ElementsAre(absl::ZeroDuration()));
}

TEST(WaitEstimateTest, ImagesEnterOneByOneAsSlotsFree) {
  // Two slots: images of 2 s and 4 s share the device until the first has had 2 s, after 4 s; then the third,
  // of 2 s, enters beside the 2 s that are left, and both end after 8 s.
  EXPECT_THAT(EstimateStartDelays({}, {Works({2, 4, 2}), Works({1})}, 2, 1),
              ElementsAre(absl::ZeroDuration(), absl::Seconds(8)));
}

TEST(WaitEstimateTest, MoreWorkersShortenTheWait) {
  EXPECT_THAT(EstimateStartDelays(Works({4, 4}), {Works({1})}, 2, 2), ElementsAre(absl::Seconds(4)));
}

TEST(WaitEstimateTest, WaitsUntilMoreGenerationsThanTheCapacityHaveEnded) {
  EXPECT_THAT(EstimateStartDelays(Works({1, 1, 5}), {Works({1})}, 1, 1), ElementsAre(absl::Seconds(7)));
}

TEST(WaitEstimateTest, IsZeroWhileNothingWasMeasured) {
  EXPECT_THAT(EstimateStartDelays(Works({0, 0}), {Works({0, 0, 0}), Works({0})}, 2, 1),
              ElementsAre(absl::ZeroDuration(), absl::ZeroDuration()));
}

TEST(WaitEstimateTest, DelaysNeverFallAlongTheQueueAndOneSlotMeansAllTheWorkBefore) {
  std::mt19937 random(11);
  const auto draw = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  for (int round = 0; round < 500; ++round) {
    std::vector<absl::Duration> active(static_cast<size_t>(draw(5)));
    for (absl::Duration& work : active) work = absl::Seconds(draw(20));
    std::vector<std::vector<absl::Duration>> waiting(static_cast<size_t>(1 + draw(6)));
    for (std::vector<absl::Duration>& request : waiting) {
      request.resize(static_cast<size_t>(1 + draw(4)));
      for (absl::Duration& work : request) work = absl::Seconds(draw(20));
    }
    const size_t capacity = static_cast<size_t>(1 + draw(4));
    const std::vector<absl::Duration> delays = EstimateStartDelays(active, waiting, capacity, 1);
    ASSERT_EQ(delays.size(), waiting.size());
    ASSERT_TRUE(std::is_sorted(delays.begin(), delays.end()));
    if (capacity > 1) continue;
    absl::Duration before = std::accumulate(active.begin(), active.end(), absl::ZeroDuration());
    for (size_t i = 0; i < waiting.size(); ++i) {
      ASSERT_EQ(delays[i], before);
      before = std::accumulate(waiting[i].begin(), waiting[i].end(), before);
    }
  }
}

}  // namespace
}  // namespace kandinsky
