#include "scheduler/batch_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::UnixEpoch() + absl::Hours(1);

BatchKey Key(Stage stage, int edge = 64) {
  BatchKey key;
  key.stage = stage;
  key.network = StageName(stage);
  key.latent_height = edge;
  key.latent_width = edge;
  return key;
}

// A candidate that arrived `age_seconds` ago.
BatchCandidate Candidate(const BatchKey& key, int age_seconds) {
  BatchCandidate candidate;
  candidate.key = key;
  candidate.cost.latent_pixels = static_cast<int64_t>(key.latent_height) * key.latent_width;
  candidate.arrival = kNow - absl::Seconds(age_seconds);
  return candidate;
}

TEST(BatchPlannerTest, MembersShareTheBatchKey) {
  BatchKey guided = Key(Stage::kDenoise);
  guided.guided = true;
  const std::vector<BatchCandidate> candidates = {
      Candidate(Key(Stage::kDenoise), 9), Candidate(Key(Stage::kDenoise, 96), 8), Candidate(guided, 7),
      Candidate(Key(Stage::kPrior), 6),   Candidate(Key(Stage::kDenoise), 5),
  };
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(0, 4));
}

TEST(BatchPlannerTest, TheOldestCandidateDecidesTheKey) {
  const std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 1),
                                                  Candidate(Key(Stage::kPrior), 3),
                                                  Candidate(Key(Stage::kDenoise), 2)};
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(1));
}

TEST(BatchPlannerTest, LessTimeToTheDeadlineComesBeforeAge) {
  std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 9),
                                            Candidate(Key(Stage::kPrior), 1)};
  candidates[0].deadline = kNow + absl::Seconds(20);
  candidates[1].deadline = kNow + absl::Seconds(10);
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(1));
}

TEST(BatchPlannerTest, AmongEqualsTheLaterStageComesFirst) {
  const std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kEncode), 5),
                                                  Candidate(Key(Stage::kDecode), 5),
                                                  Candidate(Key(Stage::kDenoise), 5)};
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(1));
}

TEST(BatchPlannerTest, FillsInOrderOfUrgencyUpToTheRowLimit) {
  std::vector<BatchCandidate> candidates;
  for (const int age : {1, 4, 2, 5, 3}) candidates.push_back(Candidate(Key(Stage::kDenoise), age));
  BatchLimits limits;
  limits.max_rows = 3;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(3, 1, 4));
}

TEST(BatchPlannerTest, FillsUpToTheLatentPixelLimit) {
  const std::vector<BatchCandidate> candidates(5, Candidate(Key(Stage::kDenoise, 64), 1));
  BatchLimits limits;
  limits.max_latent_pixels = 3 * 64 * 64;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0, 1, 2));
  limits.max_latent_pixels = 3 * 64 * 64 - 1;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0, 1));
}

TEST(BatchPlannerTest, OneCandidateAlwaysFits) {
  BatchLimits limits;
  limits.max_latent_pixels = 1;
  EXPECT_THAT(PlanBatch({Candidate(Key(Stage::kDenoise, 128), 1)}, limits, kNow), ElementsAre(0));
}

TEST(BatchPlannerTest, ARowCapHoldsForItsKeyOnly) {
  std::vector<BatchCandidate> candidates(4, Candidate(Key(Stage::kDenoise), 5));
  BatchLimits limits;
  limits.row_caps[Key(Stage::kDenoise)] = 2;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0, 1));
  for (BatchCandidate& candidate : candidates) candidate.key = Key(Stage::kDenoise, 96);
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0, 1, 2, 3));
}

TEST(BatchPlannerTest, ARowCapDoesNotRaiseTheRowLimit) {
  const std::vector<BatchCandidate> candidates(4, Candidate(Key(Stage::kDenoise), 5));
  BatchLimits limits;
  limits.max_rows = 2;
  limits.row_caps[Key(Stage::kDenoise)] = 3;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0, 1));
}

TEST(BatchPlannerTest, ACandidatePassedOverOftenEnoughWinsWithItsKey) {
  std::vector<BatchCandidate> candidates = {
      Candidate(Key(Stage::kDenoise), 9), Candidate(Key(Stage::kPrior), 5), Candidate(Key(Stage::kPrior), 1)};
  BatchLimits limits;
  limits.max_times_passed_over = 3;
  candidates[2].times_passed_over = 2;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(0));
  candidates[2].times_passed_over = 3;
  EXPECT_THAT(PlanBatch(candidates, limits, kNow), ElementsAre(2, 1));
}

TEST(BatchPlannerTest, OfSeveralPassedOverTheLongestWaitingWins) {
  std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 9),
                                            Candidate(Key(Stage::kPrior), 1)};
  candidates[0].times_passed_over = 10;
  candidates[1].times_passed_over = 11;
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(1));
}

TEST(BatchPlannerTest, LeavesOutCandidatesWhoseDeadlinePassed) {
  std::vector<BatchCandidate> candidates(2, Candidate(Key(Stage::kDenoise), 1));
  candidates[0].deadline = kNow;
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), ElementsAre(1));
  candidates[1].deadline = kNow - absl::Seconds(1);
  EXPECT_THAT(PlanBatch(candidates, {}, kNow), IsEmpty());
}

TEST(BatchPlannerTest, PlansNothingForNoCandidates) { EXPECT_THAT(PlanBatch({}, {}, kNow), IsEmpty()); }

// Whatever the candidates, a plan is non-empty, within the limits, of one key, and cannot be extended.
TEST(BatchPlannerTest, RandomPlansKeepTheLimitsAndLeaveNoRoom) {
  std::mt19937 random(20240501);
  const auto draw = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
  for (int round = 0; round < 2000; ++round) {
    std::vector<BatchCandidate> candidates;
    for (int i = 1 + draw(20); i > 0; --i) {
      candidates.push_back(Candidate(Key(static_cast<Stage>(draw(4)), 32 * (1 + draw(3))), draw(10)));
      candidates.back().times_passed_over = draw(6);
    }
    BatchLimits limits;
    limits.max_rows = 1 + draw(8);
    limits.max_latent_pixels = 1 + draw(8 * 96 * 96);
    const std::vector<size_t> plan = PlanBatch(candidates, limits, kNow);
    ASSERT_FALSE(plan.empty());
    const BatchKey& key = candidates[plan[0]].key;
    int64_t pixels = 0;
    std::vector<bool> chosen(candidates.size());
    for (const size_t i : plan) {
      EXPECT_EQ(candidates[i].key, key);
      EXPECT_FALSE(chosen[i]);
      chosen[i] = true;
      pixels += candidates[i].cost.latent_pixels;
    }
    EXPECT_LE(plan.size(), static_cast<size_t>(limits.max_rows));
    if (plan.size() > 1) {
      EXPECT_LE(pixels, limits.max_latent_pixels);
    }
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (chosen[i] || candidates[i].key != key) continue;
      EXPECT_TRUE(plan.size() == static_cast<size_t>(limits.max_rows) ||
                  pixels + candidates[i].cost.latent_pixels > limits.max_latent_pixels);
    }
  }
}

// The bound behind max_times_passed_over: with k keys runnable nobody waits longer than the limit plus k
// plans.
TEST(BatchPlannerTest, NobodyStarvesBehindMoreUrgentCandidates) {
  BatchLimits limits;
  limits.max_rows = 4;
  std::vector<BatchCandidate> candidates;
  for (int i = 0; i < 12; ++i)
    candidates.push_back(Candidate(Key(static_cast<Stage>(i % 4), 32 * (1 + i % 3)), i));
  for (int plan = 0; plan < 1000; ++plan) {
    for (BatchCandidate& candidate : candidates) ++candidate.times_passed_over;
    for (const size_t i : PlanBatch(candidates, limits, kNow)) candidates[i].times_passed_over = 0;
    for (const BatchCandidate& candidate : candidates) {
      ASSERT_LE(candidate.times_passed_over, limits.max_times_passed_over + 12);
    }
  }
}

}  // namespace
}  // namespace kandinsky
