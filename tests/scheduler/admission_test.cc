#include "scheduler/admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace kandinsky {
namespace {

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

RefusalReason Check(const AdmissionState& state, const EngineOptions& options = {},
                    absl::Time deadline = absl::InfiniteFuture()) {
  return CheckAdmission(options, state, kNow, deadline);
}

TEST(AdmissionTest, TakesARequestWhenNothingSpeaksAgainstIt) { EXPECT_EQ(Check({}), RefusalReason::kNone); }

TEST(AdmissionTest, RefusesWhileTheEngineEnds) {
  EXPECT_EQ(Check({.accepting = false}), RefusalReason::kDraining);
}

TEST(AdmissionTest, RefusesWithoutAWorker) {
  EXPECT_EQ(Check({.ready_workers = 0}), RefusalReason::kNoWorker);
}

TEST(AdmissionTest, RefusesWhenTheQueueIsFull) {
  const EngineOptions options = {.max_queued_requests = 3};
  EXPECT_EQ(Check({.queued_requests = 2}, options), RefusalReason::kNone);
  EXPECT_EQ(Check({.queued_requests = 3}, options), RefusalReason::kQueueFull);
  EXPECT_EQ(Check({.queued_requests = 4}, options), RefusalReason::kQueueFull);
}

TEST(AdmissionTest, AFullQueueTakesARequestForWhichAnotherGoes) {
  EXPECT_EQ(Check({.queued_requests = 3, .may_shed = true}, {.max_queued_requests = 3}),
            RefusalReason::kNone);
}

TEST(AdmissionTest, RefusesWhatWouldWaitTooLong) {
  const EngineOptions options = {.max_queued_time = absl::Seconds(10)};
  EXPECT_EQ(Check({.estimated_wait = absl::Seconds(10)}, options), RefusalReason::kNone);
  EXPECT_EQ(Check({.estimated_wait = absl::Seconds(11)}, options), RefusalReason::kQueueTooLong);
}

TEST(AdmissionTest, RefusesWhoseDeadlineHasPassed) {
  EXPECT_EQ(Check({}, {}, kNow), RefusalReason::kDeadlinePassed);
  EXPECT_EQ(Check({}, {}, kNow + absl::Nanoseconds(1)), RefusalReason::kNone);
}

TEST(AdmissionTest, RefusesWhoseDeadlineIsOutOfReach) {
  const AdmissionState state = {.estimated_wait = absl::Seconds(3), .estimated_work = absl::Seconds(5)};
  EXPECT_EQ(Check(state, {}, kNow + absl::Seconds(8)), RefusalReason::kNone);
  EXPECT_EQ(Check(state, {}, kNow + absl::Seconds(8) - absl::Nanoseconds(1)),
            RefusalReason::kDeadlineUnreachable);
}

TEST(AdmissionTest, RefusesNoDeadlineUntilTheWorkWasMeasured) {
  EXPECT_EQ(Check({.estimated_wait = absl::Seconds(3)}, {}, kNow + absl::Seconds(1)), RefusalReason::kNone);
}

TEST(AdmissionTest, ChecksInTheOrderOfTheReasons) {
  const EngineOptions options = {.max_queued_requests = 1, .max_queued_time = absl::Seconds(10)};
  AdmissionState state = {.accepting = false,
                          .ready_workers = 0,
                          .queued_requests = 1,
                          .estimated_wait = absl::Seconds(11),
                          .estimated_work = absl::Seconds(1)};
  EXPECT_EQ(Check(state, options, kNow), RefusalReason::kDraining);
  state.accepting = true;
  EXPECT_EQ(Check(state, options, kNow), RefusalReason::kNoWorker);
  state.ready_workers = 1;
  EXPECT_EQ(Check(state, options, kNow), RefusalReason::kQueueFull);
  state.queued_requests = 0;
  EXPECT_EQ(Check(state, options, kNow), RefusalReason::kQueueTooLong);
  state.estimated_wait = absl::Seconds(1);
  EXPECT_EQ(Check(state, options, kNow), RefusalReason::kDeadlinePassed);
  EXPECT_EQ(Check(state, options, kNow + absl::Seconds(1)), RefusalReason::kDeadlineUnreachable);
  EXPECT_EQ(Check(state, options, kNow + absl::Seconds(2)), RefusalReason::kNone);
}

TEST(AdmissionTest, EveryReasonHasItsOwnName) {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(RefusalReason::kDeadlineUnreachable); ++i) {
    names.insert(RefusalReasonName(static_cast<RefusalReason>(i)));
  }
  EXPECT_EQ(names, (std::set<std::string>{"none", "invalid", "draining", "no_worker", "queue_full",
                                          "queue_too_long", "deadline_passed", "deadline_unreachable"}));
}

TEST(ImagesToTakeTest, AWorkerAloneTakesUpToItsLimit) {
  const EngineOptions options = {.max_active_generations = 4};
  EXPECT_EQ(ImagesToTake(options, /*waiting=*/3, /*active=*/0, /*own=*/0, /*workers=*/1), 3u);
  EXPECT_EQ(ImagesToTake(options, 9, 0, 0, 1), 4u);
  EXPECT_EQ(ImagesToTake(options, 9, 3, 3, 1), 1u);
  EXPECT_EQ(ImagesToTake(options, 9, 4, 4, 1), 0u);
  EXPECT_EQ(ImagesToTake(options, 0, 2, 2, 1), 0u);
}

TEST(ImagesToTakeTest, LeavesOthersTheirShare) {
  const EngineOptions options = {.max_active_generations = 16};
  EXPECT_EQ(ImagesToTake(options, /*waiting=*/8, /*active=*/0, /*own=*/0, /*workers=*/2), 4u);
  EXPECT_EQ(ImagesToTake(options, 4, 4, 4, 2), 0u);
  EXPECT_EQ(ImagesToTake(options, 4, 4, 0, 2), 4u);
}

TEST(ImagesToTakeTest, RandomWorkersNeverIdleBesideWaitingImagesNorPassTheirLimitsNorTheEvenShare) {
  for (int workers = 1; workers <= 4; ++workers) {
    for (int most = 1; most <= 5; ++most) {
      const EngineOptions options = {.max_active_generations = most};
      for (size_t waiting = 0; waiting <= 12; ++waiting) {
        for (size_t active = 0; active <= 12; ++active) {
          for (size_t own = 0; own <= active; ++own) {
            const size_t take = ImagesToTake(options, waiting, active, own, workers);
            ASSERT_LE(take, waiting);
            if (own == 0 && waiting > 0) {
              ASSERT_GE(take, 1u);
            }
            if (take == 0) continue;
            ASSERT_LE(own + take, static_cast<size_t>(most));
            ASSERT_LT((own + take - 1) * static_cast<size_t>(workers), waiting + active);
          }
        }
      }
    }
  }
}

TEST(ImagesToTakeTest, WorkersThatTakeInTurnTakeAllThatFitsAndEndUpWithinOneOfEachOther) {
  const EngineOptions options = {.max_active_generations = 6};
  for (size_t images = 0; images <= 30; ++images) {
    std::array<size_t, 4> own = {};
    size_t waiting = images;
    for (int turn = 0; turn < 8; ++turn) {
      size_t& load = own[static_cast<size_t>(turn % 4)];
      const size_t take = ImagesToTake(options, waiting, images - waiting, load, 4);
      load += take;
      waiting -= take;
    }
    EXPECT_EQ(waiting, images > 24 ? images - 24 : 0);
    const auto [least, most] = std::minmax_element(own.begin(), own.end());
    EXPECT_LE(*most - *least, 1u) << images;
  }
}

TEST(ImagesToTakeTest, FromAnyLoadsNothingStaysWaitingWhileAWorkerHasRoom) {
  std::mt19937 random(5);
  const auto draw = [&](size_t below) { return static_cast<size_t>(random()) % below; };
  for (int round = 0; round < 2000; ++round) {
    const EngineOptions options = {.max_active_generations = 1 + static_cast<int>(draw(6))};
    const size_t most = static_cast<size_t>(options.max_active_generations);
    std::vector<size_t> own(1 + draw(5));
    for (size_t& load : own) load = draw(most + 1);
    size_t waiting = draw(20);
    for (size_t turn = 0; turn < 20 * own.size(); ++turn) {
      size_t& load = own[turn % own.size()];
      const size_t active = std::accumulate(own.begin(), own.end(), size_t{0});
      const size_t take = ImagesToTake(options, waiting, active, load, static_cast<int>(own.size()));
      load += take;
      waiting -= take;
    }
    ASSERT_TRUE(waiting == 0 || *std::min_element(own.begin(), own.end()) == most);
  }
}

WorkEstimate Seconds(int alone, int shared, int ahead, int wait) {
  return {.alone = absl::Seconds(alone),
          .shared = absl::Seconds(shared),
          .ahead = absl::Seconds(ahead),
          .wait = absl::Seconds(wait)};
}

TEST(LikelyWorkTest, IsThatOfTheFastestStepsWhenNothingElseIsUnderWay) {
  EXPECT_EQ(LikelyWork(Seconds(8, 12, 40, 0), /*idle=*/true), absl::Seconds(8));
}

TEST(LikelyWorkTest, IsUnknownBeforeEnoughWasMeasured) {
  EXPECT_EQ(LikelyWork(Seconds(0, 12, 40, 4), /*idle=*/false), absl::ZeroDuration());
}

TEST(LikelyWorkTest, HasAQuarterInHandUnderLoad) {
  EXPECT_EQ(LikelyWork(Seconds(8, 12, 16, 8), /*idle=*/false), absl::Seconds(1.25 * (8 + 12) - 8));
  EXPECT_EQ(LikelyWork(Seconds(8, 12, 40, 8), /*idle=*/false), absl::Seconds(1.25 * 40 - 8));
}

TEST(LikelyWorkTest, IsNeverLessThanAlone) {
  EXPECT_EQ(LikelyWork(Seconds(30, 12, 16, 8), /*idle=*/false), absl::Seconds(30));
}

TEST(ReachableAfterTest, IsWhatIsMissingNow) {
  EXPECT_EQ(ReachableAfter(Seconds(8, 12, 40, 8), absl::Seconds(50), absl::Seconds(20)), absl::Seconds(30));
  EXPECT_EQ(ReachableAfter(Seconds(8, 12, 40, 8), absl::Seconds(50), absl::Seconds(60)),
            absl::ZeroDuration());
}

TEST(ReachableAfterTest, IsNeverForWhatTakesTooLongAlone) {
  EXPECT_EQ(ReachableAfter(Seconds(8, 12, 40, 8), absl::Seconds(50), absl::Seconds(7)), absl::ZeroDuration());
}

TEST(UrgencyTest, IsTheDeadlineOrTwoMinutesAfterTheArrival) {
  EXPECT_EQ(UrgencyOf(kNow, kNow + absl::Seconds(90), Priority::kNormal), kNow + absl::Seconds(90));
  EXPECT_EQ(UrgencyOf(kNow, kNow + absl::Seconds(200), Priority::kNormal), kNow + absl::Seconds(120));
  EXPECT_EQ(UrgencyOf(kNow, absl::InfiniteFuture(), Priority::kNormal), kNow + absl::Seconds(120));
}

TEST(UrgencyTest, APriorityCountsAsThirtySeconds) {
  EXPECT_EQ(UrgencyOf(kNow, absl::InfiniteFuture(), Priority::kHigh), kNow + absl::Seconds(90));
  EXPECT_EQ(UrgencyOf(kNow, absl::InfiniteFuture(), Priority::kLow), kNow + absl::Seconds(150));
  EXPECT_EQ(UrgencyOf(kNow, kNow + absl::Seconds(10), Priority::kHigh), kNow - absl::Seconds(20));
}

TEST(PriorityTest, HasANameForEach) {
  EXPECT_STREQ(PriorityName(Priority::kLow), "low");
  EXPECT_STREQ(PriorityName(Priority::kNormal), "normal");
  EXPECT_STREQ(PriorityName(Priority::kHigh), "high");
}

}  // namespace
}  // namespace kandinsky
