#include "scheduler/row_caps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <random>
#include <utility>

namespace kandinsky {
namespace {

BatchKey Key(int edge = 64) {
  BatchKey key;
  key.stage = Stage::kDenoise;
  key.latent_height = edge;
  key.latent_width = edge;
  return key;
}

// Steps of `rows` that go well until one of them changes the cap; how many it took, or -1 after `most`.
int StepsUntilRaised(RowCaps& caps, int rows, int most = 100000) {
  for (int step = 1; step <= most; ++step) {
    if (caps.RecordSuccess(Key(), rows)) return step;
  }
  return -1;
}

TEST(RowCapsTest, AdaptersShareTheirCaps) {
  RowCaps caps;
  BatchKey adapted = Key();
  adapted.adapter = "watercolour";
  caps.RecordOutOfMemory(adapted, 8);
  EXPECT_EQ(caps.Cap(Key()), 4);
  caps.RecordOutOfMemory(Key(), 4);
  EXPECT_EQ(caps.Cap(adapted), 2);
  EXPECT_EQ(caps.size(), 1u);
}

TEST(RowCapsTest, AKeyThatNeverFailedHasNoCap) {
  RowCaps caps;
  EXPECT_EQ(caps.Cap(Key()), INT_MAX);
  caps.RecordOutOfMemory(Key(96), 4);
  EXPECT_EQ(caps.Cap(Key()), INT_MAX);
  EXPECT_FALSE(caps.RecordSuccess(Key(), 8));
  EXPECT_EQ(caps.size(), 1u);
}

TEST(RowCapsTest, AStepOutOfMemoryHalvesItsRowsRoundedUp) {
  for (const auto& [rows, cap] : {std::pair(8, 4), {7, 4}, {5, 3}, {3, 2}, {2, 1}, {1, 1}}) {
    RowCaps caps;
    caps.RecordOutOfMemory(Key(), rows);
    EXPECT_EQ(caps.Cap(Key()), cap) << rows;
  }
}

TEST(RowCapsTest, FurtherFailuresHalveFurtherDownToOne) {
  RowCaps caps;
  for (const int cap : {4, 2, 1, 1}) {
    caps.RecordOutOfMemory(Key(), std::min(8, caps.Cap(Key())));
    EXPECT_EQ(caps.Cap(Key()), cap);
  }
  EXPECT_EQ(caps.size(), 1u);
}

TEST(RowCapsTest, GrowsByOneAfterEnoughStepsAsLargeAsTheCap) {
  RowCaps caps(/*probe_after=*/5);
  caps.RecordOutOfMemory(Key(), 8);
  EXPECT_EQ(StepsUntilRaised(caps, 4), 5);
  EXPECT_EQ(caps.Cap(Key()), 5);
}

TEST(RowCapsTest, SmallerStepsDoNotCount) {
  RowCaps caps(/*probe_after=*/2);
  caps.RecordOutOfMemory(Key(), 8);
  EXPECT_FALSE(caps.RecordSuccess(Key(), 4));
  EXPECT_EQ(StepsUntilRaised(caps, 3, 1000), -1);
  EXPECT_EQ(caps.Cap(Key()), 4);
  EXPECT_TRUE(caps.RecordSuccess(Key(), 4));
}

TEST(RowCapsTest, AFailureInBetweenStartsTheCountAnew) {
  RowCaps caps(/*probe_after=*/3);
  caps.RecordOutOfMemory(Key(), 8);
  EXPECT_FALSE(caps.RecordSuccess(Key(), 4));
  EXPECT_FALSE(caps.RecordSuccess(Key(), 4));
  caps.RecordOutOfMemory(Key(), 4);
  EXPECT_EQ(caps.Cap(Key()), 2);
  EXPECT_EQ(StepsUntilRaised(caps, 2), 3);
}

TEST(RowCapsTest, AProbeThatFailsRestoresTheCapInsteadOfHalving) {
  RowCaps caps(/*probe_after=*/2);
  caps.RecordOutOfMemory(Key(), 8);
  ASSERT_EQ(StepsUntilRaised(caps, 4), 2);
  caps.RecordOutOfMemory(Key(), 5);
  EXPECT_EQ(caps.Cap(Key()), 4);
}

TEST(RowCapsTest, EachFailedProbeDoublesTheWaitForTheNextUpToSixtyFourTimes) {
  RowCaps caps(/*probe_after=*/2);
  caps.RecordOutOfMemory(Key(), 8);
  for (const int factor : {1, 2, 4, 8, 16, 32, 64, 64, 64}) {
    EXPECT_EQ(StepsUntilRaised(caps, 4), 2 * factor);
    caps.RecordOutOfMemory(Key(), 5);
  }
}

TEST(RowCapsTest, AProbeThatWentWellMakesTheNextOnePromptAgain) {
  RowCaps caps(/*probe_after=*/2);
  caps.RecordOutOfMemory(Key(), 8);
  ASSERT_EQ(StepsUntilRaised(caps, 4), 2);
  caps.RecordOutOfMemory(Key(), 5);
  ASSERT_EQ(StepsUntilRaised(caps, 4), 4);
  EXPECT_EQ(StepsUntilRaised(caps, 5), 2);  // the probe itself is the first of them
  EXPECT_EQ(caps.Cap(Key()), 6);
}

TEST(RowCapsTest, AFailureBelowTheProbedRowsHalves) {
  RowCaps caps(/*probe_after=*/1);
  caps.RecordOutOfMemory(Key(), 8);
  ASSERT_EQ(StepsUntilRaised(caps, 4), 1);
  caps.RecordOutOfMemory(Key(), 4);
  EXPECT_EQ(caps.Cap(Key()), 2);
}

TEST(RowCapsTest, AFailureAfterAProbeThatWentWellHalves) {
  RowCaps caps(/*probe_after=*/3);
  caps.RecordOutOfMemory(Key(), 16);
  ASSERT_EQ(StepsUntilRaised(caps, 8), 3);
  EXPECT_FALSE(caps.RecordSuccess(Key(), 9));
  caps.RecordOutOfMemory(Key(), 9);
  EXPECT_EQ(caps.Cap(Key()), 5);
}

TEST(RowCapsTest, ACapThatGrewBackToWhatOnceFailedIsRemoved) {
  RowCaps caps(/*probe_after=*/2);
  caps.RecordOutOfMemory(Key(), 4);
  ASSERT_EQ(StepsUntilRaised(caps, 2), 2);
  ASSERT_EQ(StepsUntilRaised(caps, 3), 2);
  EXPECT_EQ(caps.Cap(Key()), 4);
  EXPECT_EQ(caps.size(), 1u);
  EXPECT_EQ(StepsUntilRaised(caps, 4), 1);
  EXPECT_EQ(caps.Cap(Key()), INT_MAX);
  EXPECT_EQ(caps.size(), 0u);
}

// A device that holds a fixed number of rows: the cap finds it and then fails ever more rarely.
TEST(RowCapsTest, SettlesAtWhatTheDeviceHolds) {
  for (int holds = 1; holds <= 12; ++holds) {
    RowCaps caps(/*probe_after=*/4);
    int late_failures = 0;
    for (int step = 0; step < 20000; ++step) {
      const int rows = std::min(16, caps.Cap(Key()));
      if (rows <= holds) {
        caps.RecordSuccess(Key(), rows);
      } else {
        caps.RecordOutOfMemory(Key(), rows);
        late_failures += step >= 10000 ? 1 : 0;
      }
      ASSERT_GE(caps.Cap(Key()), 1);
    }
    EXPECT_GE(caps.Cap(Key()), holds);
    EXPECT_LE(caps.Cap(Key()), holds + 1);
    EXPECT_LE(late_failures, 10000 / (4 * 64) + 1);
  }
}

TEST(RowCapsTest, AFailureNeverRaisesACapAndASuccessNeverLowersIt) {
  std::mt19937 random(7);
  RowCaps caps(/*probe_after=*/3);
  for (int i = 0; i < 100000; ++i) {
    const int before = caps.Cap(Key());
    const int rows = 1 + static_cast<int>(random() % 12);
    if (random() % 4 == 0) {
      caps.RecordOutOfMemory(Key(), rows);
      ASSERT_LE(caps.Cap(Key()), before);
      ASSERT_GE(caps.Cap(Key()), 1);
    } else {
      const bool raised = caps.RecordSuccess(Key(), rows);
      ASSERT_EQ(raised, caps.Cap(Key()) > before);
      ASSERT_GE(caps.Cap(Key()), before);
    }
  }
}

}  // namespace
}  // namespace kandinsky
