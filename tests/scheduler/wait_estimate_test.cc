#include "scheduler/wait_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(WaitEstimateTest, ARequestOfManyImagesWaitsForRoomForAll) {
  EXPECT_THAT(EstimateStartDelays(Works({2, 6}), {Works({1, 1})}, 2, 1), ElementsAre(absl::Seconds(8)));
}

TEST(WaitEstimateTest, MoreWorkersShortenTheWait) {
  EXPECT_THAT(EstimateStartDelays(Works({4, 4}), {Works({1})}, 2, 2), ElementsAre(absl::Seconds(4)));
}

TEST(WaitEstimateTest, ARequestLargerThanTheCapacityStartsAlone) {
  EXPECT_THAT(EstimateStartDelays(Works({3}), {Works({1, 1, 1})}, 2, 1), ElementsAre(absl::Seconds(3)));
}

}  // namespace
}  // namespace kandinsky
