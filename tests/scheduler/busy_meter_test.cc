#include "scheduler/busy_meter.h"

#include <gtest/gtest.h>

namespace kandinsky {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST(BusyMeterTest, IsIdleBeforeTheFirstRecord) { EXPECT_EQ(BusyMeter().Ratio(kStart), 0); }

TEST(BusyMeterTest, ApproachesOneWhileAlwaysBusy) {
  BusyMeter meter;
  for (int i = 0; i < 600; ++i) meter.Record(kStart + absl::Seconds(i), kStart + absl::Seconds(i + 1));
  EXPECT_GT(meter.Ratio(kStart + absl::Seconds(600)), 0.999);
}

TEST(BusyMeterTest, TellsTheShareOfBusyTime) {
  BusyMeter meter;
  for (int i = 0; i < 6000; ++i) {
    const absl::Time second = kStart + absl::Seconds(i);
    meter.Record(second, second + absl::Milliseconds(250));
  }
  EXPECT_NEAR(meter.Ratio(kStart + absl::Seconds(6000)), 0.25, 0.01);
}

TEST(BusyMeterTest, FallsByEPerIdleMinute) {
  BusyMeter meter;
  meter.Record(kStart, kStart + absl::Hours(1));
  EXPECT_NEAR(meter.Ratio(kStart + absl::Hours(1) + absl::Minutes(1)), 0.368, 0.001);
}

}  // namespace
}  // namespace kandinsky
