#include "scheduler/batch_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

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

// A candidate whose urgency is `age_seconds` ago.
BatchCandidate Candidate(const BatchKey& key, int age_seconds) {
  BatchCandidate candidate;
  candidate.key = key;
  candidate.cost.latent_pixels = static_cast<int64_t>(key.latent_height) * key.latent_width;
  candidate.urgency = kNow - absl::Seconds(age_seconds);
  return candidate;
}

BatchPlan Plan(const std::vector<BatchCandidate>& candidates, const BatchLimits& limits = {}) {
  return PlanBatch(candidates, limits, RowCaps(), kNow);
}

std::vector<size_t> Members(const std::vector<BatchCandidate>& candidates, const BatchLimits& limits = {}) {
  return Plan(candidates, limits).members;
}

using Counts = std::array<int, kNotMergedReasons>;

Counts Of(std::initializer_list<std::pair<NotMergedReason, int>> counts) {
  Counts all = {};
  for (const auto& [reason, count] : counts) all[static_cast<size_t>(reason)] = count;
  return all;
}

TEST(BatchPlannerTest, MembersShareTheBatchKey) {
  BatchKey guided = Key(Stage::kDenoise);
  guided.guided = true;
  EXPECT_THAT(
      Members({Candidate(Key(Stage::kDenoise), 9), Candidate(Key(Stage::kDenoise, 96), 8),
               Candidate(guided, 7), Candidate(Key(Stage::kPrior), 6), Candidate(Key(Stage::kDenoise), 5)},
              {.max_rows = 2}),
      ElementsAre(0, 4));
}

TEST(BatchPlannerTest, MembersShareTheAdapters) {
  BatchKey adapted = Key(Stage::kDenoise);
  adapted.adapter = "watercolour";
  const BatchPlan plan =
      Plan({Candidate(adapted, 9), Candidate(Key(Stage::kDenoise), 8), Candidate(adapted, 7)});
  EXPECT_THAT(plan.members, ElementsAre(0, 2));
  EXPECT_EQ(plan.not_merged, Of({{NotMergedReason::kNetwork, 1}}));
}

TEST(BatchPlannerTest, TheMostUrgentCandidateOfAStageDecidesTheKey) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kDenoise, 64), 1), Candidate(Key(Stage::kDenoise, 96), 3),
                       Candidate(Key(Stage::kDenoise, 64), 2)}),
              ElementsAre(1));
}

TEST(BatchPlannerTest, WhatIsOneStepFromItsEndGoesFirst) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kEncode), 9), Candidate(Key(Stage::kDecode), 1),
                       Candidate(Key(Stage::kDenoise), 5)}),
              ElementsAre(1));
}

TEST(BatchPlannerTest, EarlyStagesGoBeforeADenoiseBatchWithRoom) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kDenoise), 9), Candidate(Key(Stage::kPrior), 2),
                       Candidate(Key(Stage::kPrior), 3)},
                      {.max_rows = 2}),
              ElementsAre(2, 1));
}

TEST(BatchPlannerTest, AFullDenoiseBatchGoesBeforeEarlyStages) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kDenoise), 1), Candidate(Key(Stage::kPrior), 9),
                       Candidate(Key(Stage::kDenoise), 2)},
                      {.max_rows = 2}),
              ElementsAre(2, 0));
}

TEST(BatchPlannerTest, ABatchIsFullByAnyLimit) {
  const std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 1),
                                                  Candidate(Key(Stage::kPrior), 9),
                                                  Candidate(Key(Stage::kDenoise), 2)};
  EXPECT_THAT(Members(candidates, {.max_latent_pixels = 2 * 64 * 64}), ElementsAre(2, 0));
  EXPECT_THAT(Members(candidates, {.max_latent_pixels = 3 * 64 * 64}), ElementsAre(1));
  RowCaps caps;
  caps.RecordOutOfMemory(Key(Stage::kDenoise), 4);
  EXPECT_THAT(PlanBatch(candidates, {}, caps, kNow).members, ElementsAre(2, 0));
}

TEST(BatchPlannerTest, EncodeGoesBeforePriorSoThatTheirPriorStepsAreShared) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kPrior), 9), Candidate(Key(Stage::kEncode), 1)}), ElementsAre(1));
}

TEST(BatchPlannerTest, AmongEqualsOfAStageTheLowerIndexComesFirst) {
  EXPECT_THAT(Members({Candidate(Key(Stage::kDenoise, 96), 5), Candidate(Key(Stage::kDenoise, 64), 5)}),
              ElementsAre(0));
}

TEST(BatchPlannerTest, FillsInOrderOfUrgencyUpToTheRowLimit) {
  std::vector<BatchCandidate> candidates;
  for (const int age : {1, 4, 2, 5, 3}) candidates.push_back(Candidate(Key(Stage::kDenoise), age));
  EXPECT_THAT(Members(candidates, {.max_rows = 3}), ElementsAre(3, 1, 4));
}

TEST(BatchPlannerTest, FillsUpToTheLatentPixelLimit) {
  const std::vector<BatchCandidate> candidates(5, Candidate(Key(Stage::kDenoise, 64), 1));
  EXPECT_THAT(Members(candidates, {.max_latent_pixels = 3 * 64 * 64}), ElementsAre(0, 1, 2));
  EXPECT_THAT(Members(candidates, {.max_latent_pixels = 3 * 64 * 64 - 1}), ElementsAre(0, 1));
}

TEST(BatchPlannerTest, FillsUpToTheMemoryLimit) {
  std::vector<BatchCandidate> candidates(5, Candidate(Key(Stage::kDenoise), 1));
  for (BatchCandidate& candidate : candidates) candidate.cost.memory_bytes = 100;
  EXPECT_THAT(Members(candidates, {.max_memory_bytes = 300}), ElementsAre(0, 1, 2));
  EXPECT_THAT(Members(candidates, {.max_memory_bytes = 299}), ElementsAre(0, 1));
}

TEST(BatchPlannerTest, ASmallerCandidateFillsWhatALargerOneLeaves) {
  std::vector<BatchCandidate> candidates(3, Candidate(Key(Stage::kDenoise), 1));
  candidates[0].cost.memory_bytes = 60;
  candidates[1].cost.memory_bytes = 50;
  candidates[2].cost.memory_bytes = 40;
  EXPECT_THAT(Members(candidates, {.max_memory_bytes = 100}), ElementsAre(0, 2));
}

TEST(BatchPlannerTest, OneCandidateAlwaysFits) {
  BatchCandidate large = Candidate(Key(Stage::kDenoise, 128), 1);
  large.cost.memory_bytes = 1000;
  EXPECT_THAT(Members({large, large}, {.max_latent_pixels = 1, .max_memory_bytes = 1}), ElementsAre(0));
}

TEST(BatchPlannerTest, ARowCapHoldsForItsKeyOnly) {
  std::vector<BatchCandidate> candidates(4, Candidate(Key(Stage::kDenoise), 5));
  RowCaps caps;
  caps.RecordOutOfMemory(Key(Stage::kDenoise), 4);
  EXPECT_THAT(PlanBatch(candidates, {}, caps, kNow).members, ElementsAre(0, 1));
  for (BatchCandidate& candidate : candidates) candidate.key = Key(Stage::kDenoise, 96);
  EXPECT_THAT(PlanBatch(candidates, {}, caps, kNow).members, ElementsAre(0, 1, 2, 3));
}

TEST(BatchPlannerTest, ARowCapDoesNotRaiseTheRowLimit) {
  const std::vector<BatchCandidate> candidates(4, Candidate(Key(Stage::kDenoise), 5));
  RowCaps caps;
  caps.RecordOutOfMemory(Key(Stage::kDenoise), 6);
  EXPECT_THAT(PlanBatch(candidates, {.max_rows = 2}, caps, kNow).members, ElementsAre(0, 1));
}

TEST(BatchPlannerTest, ACandidatePassedOverOftenEnoughWinsWithItsKey) {
  std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 9),
                                            Candidate(Key(Stage::kDenoise, 96), 5),
                                            Candidate(Key(Stage::kDenoise, 96), 1)};
  candidates[2].times_passed_over = 2;
  EXPECT_THAT(Members(candidates, {.max_times_passed_over = 3}), ElementsAre(0));
  candidates[2].times_passed_over = 3;
  EXPECT_THAT(Members(candidates, {.max_times_passed_over = 3}), ElementsAre(2, 1));
}

TEST(BatchPlannerTest, OfSeveralPassedOverTheLongestWaitingWins) {
  std::vector<BatchCandidate> candidates = {Candidate(Key(Stage::kDenoise), 9),
                                            Candidate(Key(Stage::kPrior), 1)};
  candidates[0].times_passed_over = 10;
  candidates[1].times_passed_over = 11;
  EXPECT_THAT(Members(candidates), ElementsAre(1));
}

TEST(BatchPlannerTest, LeavesOutAndDoesNotCountCandidatesWhoseDeadlinePassed) {
  std::vector<BatchCandidate> candidates(2, Candidate(Key(Stage::kDenoise), 1));
  candidates[0].deadline = kNow;
  EXPECT_THAT(Members(candidates), ElementsAre(1));
  EXPECT_EQ(Plan(candidates).not_merged, Of({{NotMergedReason::kAlone, 1}}));
  candidates[1].deadline = kNow - absl::Seconds(1);
  EXPECT_THAT(Members(candidates), IsEmpty());
  EXPECT_EQ(Plan(candidates).not_merged, Counts{});
}

TEST(BatchPlannerTest, PlansNothingForNoCandidates) {
  EXPECT_THAT(Members({}), IsEmpty());
  EXPECT_EQ(Plan({}).not_merged, Counts{});
}

TEST(BatchPlannerTest, CountsTheFirstDifferenceOfEachCandidateWithAnotherKey) {
  const BatchKey key = Key(Stage::kDenoise);
  BatchKey network = Key(Stage::kPrior, 96);
  BatchKey stage = Key(Stage::kDecode, 96);
  stage.network = key.network;
  BatchKey size = Key(Stage::kDenoise, 96);
  size.guided = true;
  BatchKey width = key;
  width.latent_width = 96;
  BatchKey guidance = key;
  guidance.guided = true;
  BatchCandidate first = Candidate(key, 9);
  first.times_passed_over = BatchLimits().max_times_passed_over;  // its key wins before those of early stages
  EXPECT_EQ(Plan({first, Candidate(network, 1), Candidate(stage, 1), Candidate(size, 1), Candidate(width, 1),
                  Candidate(guidance, 1), Candidate(key, 1)})
                .not_merged,
            Of({{NotMergedReason::kNetwork, 1},
                {NotMergedReason::kStage, 1},
                {NotMergedReason::kSize, 2},
                {NotMergedReason::kGuidance, 1}}));
}

TEST(BatchPlannerTest, CountsWhichLimitLeftACandidateOut) {
  std::vector<BatchCandidate> candidates(4, Candidate(Key(Stage::kDenoise), 1));
  for (BatchCandidate& candidate : candidates) candidate.cost.memory_bytes = 100;
  EXPECT_EQ(Plan(candidates, {.max_rows = 1}).not_merged, Of({{NotMergedReason::kRowLimit, 3}}));
  EXPECT_EQ(Plan(candidates, {.max_latent_pixels = 2 * 64 * 64}).not_merged,
            Of({{NotMergedReason::kPixelLimit, 2}}));
  EXPECT_EQ(Plan(candidates, {.max_memory_bytes = 300}).not_merged, Of({{NotMergedReason::kMemoryLimit, 1}}));
  RowCaps caps;
  caps.RecordOutOfMemory(Key(Stage::kDenoise), 4);
  EXPECT_EQ(PlanBatch(candidates, {}, caps, kNow).not_merged, Of({{NotMergedReason::kRowCap, 2}}));
  // Every limit is reached: the first counts.
  const BatchLimits all = {.max_rows = 2, .max_latent_pixels = 2 * 64 * 64, .max_memory_bytes = 200};
  EXPECT_EQ(PlanBatch(candidates, all, caps, kNow).not_merged, Of({{NotMergedReason::kRowLimit, 2}}));
}

TEST(BatchPlannerTest, CountsNothingWhenAllShareTheStep) {
  EXPECT_EQ(Plan(std::vector<BatchCandidate>(3, Candidate(Key(Stage::kDenoise), 1))).not_merged, Counts{});
}

TEST(BatchPlannerTest, EveryReasonHasItsOwnName) {
  std::set<std::string> names;
  for (size_t i = 0; i < kNotMergedReasons; ++i) {
    names.insert(NotMergedReasonName(static_cast<NotMergedReason>(i)));
  }
  EXPECT_EQ(names, (std::set<std::string>{"alone", "network", "stage", "size", "guidance", "row_limit",
                                          "pixel_limit", "memory_limit", "row_cap"}));
}

// Random candidates, limits and caps.
class RandomPlanTest : public ::testing::Test {
 protected:
  int Draw(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  void DrawRound() {
    candidates_.clear();
    for (int i = 1 + Draw(20); i > 0; --i) {
      BatchCandidate candidate = Candidate(Key(static_cast<Stage>(Draw(4)), 32 * (1 + Draw(3))), Draw(10));
      candidate.key.guided = Draw(4) == 0;
      candidate.cost.memory_bytes = Draw(100);
      candidate.times_passed_over = Draw(6);
      if (Draw(8) == 0) candidate.deadline = kNow - absl::Seconds(Draw(3));
      candidates_.push_back(candidate);
    }
    limits_ = {.max_rows = 1 + Draw(8),
               .max_latent_pixels = 1 + Draw(8 * 96 * 96),
               .max_memory_bytes = 1 + Draw(500),
               .max_times_passed_over = 1 + Draw(6)};
    caps_.emplace();
    for (int i = Draw(3); i > 0; --i) {
      caps_->RecordOutOfMemory(
          candidates_[static_cast<size_t>(Draw(static_cast<int>(candidates_.size())))].key, 1 + Draw(8));
    }
  }

  bool InTime(size_t i) const { return candidates_[i].deadline > kNow; }

  bool Starved(size_t i) const { return candidates_[i].times_passed_over >= limits_.max_times_passed_over; }

  // Whether candidate `a` comes before `b` by the documented order.
  bool Before(size_t a, size_t b) const {
    const auto rank = [this](size_t i) {
      const BatchCandidate& candidate = candidates_[i];
      return std::make_tuple(Starved(i) ? -candidate.times_passed_over : 0, candidate.urgency,
                             -static_cast<int>(candidate.key.stage), i);
    };
    return rank(a) < rank(b);
  }

  std::mt19937 random_{20240501};
  std::vector<BatchCandidate> candidates_;
  BatchLimits limits_;
  std::optional<RowCaps> caps_;
};

TEST_F(RandomPlanTest, MembersShareTheKeyOfTheFirstByTheRulesAndKeepTheLimits) {
  for (int round = 0; round < 5000; ++round) {
    DrawRound();
    const std::vector<size_t> members = PlanBatch(candidates_, limits_, *caps_, kNow).members;
    size_t in_time = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) in_time += InTime(i) ? 1 : 0;
    ASSERT_EQ(members.empty(), in_time == 0);
    if (members.empty()) continue;
    const BatchCandidate& first = candidates_[members[0]];
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (!InTime(i) || i == members[0]) continue;
      const BatchCandidate& other = candidates_[i];
      if (other.key == first.key || Starved(i)) {
        ASSERT_TRUE(Before(members[0], i));
      }
      if (Starved(members[0])) continue;
      if (other.key.stage == first.key.stage) {
        ASSERT_TRUE(Before(members[0], i));
      }
      if (other.key.stage == Stage::kDecode) {
        ASSERT_EQ(first.key.stage, Stage::kDecode);
      }
      if (other.key.stage == Stage::kEncode) {
        ASSERT_NE(first.key.stage, Stage::kPrior);
      }
    }
    int64_t pixels = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      ASSERT_TRUE(InTime(members[i]));
      ASSERT_EQ(candidates_[members[i]].key, candidates_[members[0]].key);
      if (i > 0) {
        ASSERT_TRUE(Before(members[i - 1], members[i]));
      }
      pixels += candidates_[members[i]].cost.latent_pixels;
      bytes += candidates_[members[i]].cost.memory_bytes;
    }
    if (members.size() == 1) continue;
    ASSERT_LE(members.size(), static_cast<size_t>(limits_.max_rows));
    ASSERT_LE(members.size(), static_cast<size_t>(caps_->Cap(candidates_[members[0]].key)));
    ASSERT_LE(pixels, limits_.max_latent_pixels);
    ASSERT_LE(bytes, limits_.max_memory_bytes);
  }
}

TEST_F(RandomPlanTest, LeavesOutNoneThatWouldFitAndCountsEachOnceWithItsReason) {
  for (int round = 0; round < 5000; ++round) {
    DrawRound();
    const BatchPlan plan = PlanBatch(candidates_, limits_, *caps_, kNow);
    if (plan.members.empty()) {
      ASSERT_EQ(plan.not_merged, Counts{});
      continue;
    }
    const BatchKey& key = candidates_[plan.members[0]].key;
    int64_t pixels = 0;
    int64_t bytes = 0;
    for (const size_t i : plan.members) {
      pixels += candidates_[i].cost.latent_pixels;
      bytes += candidates_[i].cost.memory_bytes;
    }
    const int rows = static_cast<int>(plan.members.size());
    Counts expected = {};
    int others = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (!InTime(i)) continue;
      if (i != plan.members[0]) ++others;
      if (std::find(plan.members.begin(), plan.members.end(), i) != plan.members.end()) continue;
      const BatchCandidate& candidate = candidates_[i];
      const std::array<bool, kNotMergedReasons> applies = {
          false,
          candidate.key.network != key.network,
          candidate.key.stage != key.stage,
          candidate.key.latent_height != key.latent_height,
          candidate.key.guided != key.guided,
          rows >= limits_.max_rows,
          pixels + candidate.cost.latent_pixels > limits_.max_latent_pixels,
          bytes + candidate.cost.memory_bytes > limits_.max_memory_bytes,
          rows >= caps_->Cap(key)};
      const auto reason = std::find(applies.begin(), applies.end(), true);
      ASSERT_NE(reason, applies.end()) << "candidate " << i << " would have fitted";
      ++expected[static_cast<size_t>(reason - applies.begin())];
    }
    expected[static_cast<size_t>(NotMergedReason::kAlone)] = others == 0 ? 1 : 0;
    ASSERT_EQ(plan.not_merged, expected);
  }
}

// The bound behind max_times_passed_over: with k keys runnable nobody waits longer than the limit plus k
// plans.
TEST(BatchPlannerTest, NobodyStarvesBehindMoreUrgentCandidates) {
  const BatchLimits limits = {.max_rows = 4};
  std::vector<BatchCandidate> candidates;
  for (int i = 0; i < 12; ++i)
    candidates.push_back(Candidate(Key(static_cast<Stage>(i % 4), 32 * (1 + i % 3)), i));
  for (int plan = 0; plan < 1000; ++plan) {
    for (BatchCandidate& candidate : candidates) ++candidate.times_passed_over;
    for (const size_t i : Members(candidates, limits)) candidates[i].times_passed_over = 0;
    for (const BatchCandidate& candidate : candidates) {
      ASSERT_LE(candidate.times_passed_over, limits.max_times_passed_over + 12);
    }
  }
}

}  // namespace
}  // namespace kandinsky
