#include "scheduler/batch_planner.h"

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "absl/container/inlined_vector.h"

namespace kandinsky {
namespace {

// A candidate's place in the order of urgency: the smaller, the more urgent.
struct Rank {
  int starved = 0;  // minus the times passed over once they reach the limit
  absl::Time urgency;
  int stage = 0;  // minus the stage
  size_t index = 0;

  bool Before(const Rank& other) const {
    if (starved != other.starved) return starved < other.starved;
    if (urgency != other.urgency) return urgency < other.urgency;
    if (stage != other.stage) return stage < other.stage;
    return index < other.index;
  }
};

using Ranks = absl::InlinedVector<Rank, 32>;

Ranks RankInTime(absl::Span<const BatchCandidate> candidates, const BatchLimits& limits, absl::Time now) {
  Ranks ranks;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const BatchCandidate& candidate = candidates[i];
    if (candidate.deadline <= now) continue;
    const bool starved = candidate.times_passed_over >= limits.max_times_passed_over;
    ranks.push_back({starved ? -candidate.times_passed_over : 0, candidate.urgency,
                     -static_cast<int>(candidate.key.stage), i});
  }
  return ranks;
}

// Why two different keys do not share a step; kAlone for equal ones.
NotMergedReason Difference(const BatchKey& a, const BatchKey& b) {
  if (a.network != b.network || a.adapter != b.adapter) return NotMergedReason::kNetwork;
  if (a.stage != b.stage) return NotMergedReason::kStage;
  if (a.latent_height != b.latent_height || a.latent_width != b.latent_width) return NotMergedReason::kSize;
  return a.guided != b.guided ? NotMergedReason::kGuidance : NotMergedReason::kAlone;
}

// The members so far, against the limits.
class Batch {
 public:
  Batch(const BatchLimits& limits, int row_cap)
      : limits_(limits), max_rows_(std::max(1, limits.max_rows)), row_cap_(std::max(1, row_cap)) {}

  // Why one more of `cost` does not fit; nullopt when it does. The first always fits.
  std::optional<NotMergedReason> Excess(const StepCost& cost) const {
    if (rows_ == 0) return std::nullopt;
    if (rows_ >= max_rows_) return NotMergedReason::kRowLimit;
    if (cost.latent_pixels > limits_.max_latent_pixels - latent_pixels_) return NotMergedReason::kPixelLimit;
    if (cost.memory_bytes > limits_.max_memory_bytes - memory_bytes_) return NotMergedReason::kMemoryLimit;
    if (rows_ >= row_cap_) return NotMergedReason::kRowCap;
    return std::nullopt;
  }

  void Add(const StepCost& cost) {
    ++rows_;
    latent_pixels_ += cost.latent_pixels;
    memory_bytes_ += cost.memory_bytes;
  }

 private:
  const BatchLimits& limits_;
  const int max_rows_;
  const int row_cap_;
  int rows_ = 0;
  int64_t latent_pixels_ = 0;
  int64_t memory_bytes_ = 0;
};

// The first rank of those in one of the stages; null when there is none.
const Rank* FirstIn(const Ranks& ranks, absl::Span<const BatchCandidate> candidates,
                    std::initializer_list<Stage> stages) {
  for (const Stage stage : stages) {
    const Rank* first = nullptr;
    for (const Rank& rank : ranks) {
      if (candidates[rank.index].key.stage != stage) continue;
      if (first == nullptr || rank.Before(*first)) first = &rank;
    }
    if (first != nullptr) return first;
  }
  return nullptr;
}

// Whether those with the key of `first` make a batch that one more of its kind could not join.
bool FillsABatch(const Rank& first, const Ranks& ranks, absl::Span<const BatchCandidate> candidates,
                 Batch batch) {
  const BatchCandidate& like = candidates[first.index];
  for (const Rank& rank : ranks) {
    const BatchCandidate& candidate = candidates[rank.index];
    if (candidate.key == like.key && !batch.Excess(candidate.cost)) batch.Add(candidate.cost);
  }
  return batch.Excess(like.cost).has_value();
}

// The candidate that decides the batch key, by the four rules of PlanBatch.
const Rank& Decider(const Ranks& ranks, absl::Span<const BatchCandidate> candidates,
                    const BatchLimits& limits, const RowCaps& row_caps) {
  const Rank& first =
      *std::min_element(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.Before(b); });
  if (first.starved != 0) return first;
  if (const Rank* decode = FirstIn(ranks, candidates, {Stage::kDecode})) return *decode;
  const Rank* early = FirstIn(ranks, candidates, {Stage::kEncode, Stage::kPrior});
  const Rank* denoise = FirstIn(ranks, candidates, {Stage::kDenoise});
  if (early == nullptr) return *denoise;
  if (denoise == nullptr) return *early;
  const Batch empty(limits, row_caps.Cap(candidates[denoise->index].key));
  return FillsABatch(*denoise, ranks, candidates, empty) ? *denoise : *early;
}

}  // namespace

const char* NotMergedReasonName(NotMergedReason reason) {
  switch (reason) {
    case NotMergedReason::kAlone:
      return "alone";
    case NotMergedReason::kNetwork:
      return "network";
    case NotMergedReason::kStage:
      return "stage";
    case NotMergedReason::kSize:
      return "size";
    case NotMergedReason::kGuidance:
      return "guidance";
    case NotMergedReason::kRowLimit:
      return "row_limit";
    case NotMergedReason::kPixelLimit:
      return "pixel_limit";
    case NotMergedReason::kMemoryLimit:
      return "memory_limit";
    case NotMergedReason::kRowCap:
      return "row_cap";
  }
  return "";
}

BatchPlan PlanBatch(absl::Span<const BatchCandidate> candidates, const BatchLimits& limits,
                    const RowCaps& row_caps, absl::Time now) {
  BatchPlan plan;
  Ranks ranks = RankInTime(candidates, limits, now);
  if (ranks.empty()) return plan;
  const auto count = [&plan](NotMergedReason reason) { ++plan.not_merged[static_cast<size_t>(reason)]; };
  if (ranks.size() == 1) count(NotMergedReason::kAlone);

  const BatchKey& key = candidates[Decider(ranks, candidates, limits, row_caps).index].key;
  const auto other_key = [&](const Rank& rank) {
    const NotMergedReason difference = Difference(key, candidates[rank.index].key);
    if (difference == NotMergedReason::kAlone) return false;
    count(difference);
    return true;
  };
  ranks.erase(std::remove_if(ranks.begin(), ranks.end(), other_key), ranks.end());
  std::sort(ranks.begin(), ranks.end(), [](const Rank& a, const Rank& b) { return a.Before(b); });

  Batch batch(limits, row_caps.Cap(key));
  plan.members.reserve(ranks.size());
  absl::InlinedVector<size_t, 32> left_out;
  for (const Rank& rank : ranks) {
    const StepCost& cost = candidates[rank.index].cost;
    if (batch.Excess(cost)) {
      left_out.push_back(rank.index);
      continue;
    }
    batch.Add(cost);
    plan.members.push_back(rank.index);
  }
  // The reason is told against the whole batch, so that it does not depend on who was looked at first.
  for (const size_t i : left_out) count(*batch.Excess(candidates[i].cost));
  return plan;
}

}  // namespace kandinsky
