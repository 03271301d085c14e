#include "scheduler/batch_planner.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace kandinsky {
namespace {

// Orders by urgency: the smaller, the more urgent.
auto UrgencyRank(const BatchCandidate& candidate, const BatchLimits& limits) {
  const bool starved = candidate.times_passed_over >= limits.max_times_passed_over;
  return std::make_tuple(starved ? -candidate.times_passed_over : 0, candidate.deadline, candidate.arrival,
                         -static_cast<int>(candidate.key.stage));
}

int RowCap(const BatchKey& key, const BatchLimits& limits) {
  const auto cap = limits.row_caps.find(key);
  return cap == limits.row_caps.end() ? limits.max_rows : std::min(limits.max_rows, cap->second);
}

}  // namespace

std::vector<size_t> PlanBatch(absl::Span<const BatchCandidate> candidates, const BatchLimits& limits,
                              absl::Time now) {
  std::vector<size_t> order;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].deadline > now) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return UrgencyRank(candidates[a], limits) < UrgencyRank(candidates[b], limits);
  });

  std::vector<size_t> members;
  if (order.empty()) return members;
  const BatchKey& key = candidates[order.front()].key;
  const size_t max_rows = static_cast<size_t>(RowCap(key, limits));
  int64_t latent_pixels = 0;
  for (const size_t i : order) {
    if (candidates[i].key != key) continue;
    const int64_t with_candidate = latent_pixels + candidates[i].cost.latent_pixels;
    if (!members.empty() && (members.size() >= max_rows || with_candidate > limits.max_latent_pixels)) break;
    members.push_back(i);
    latent_pixels = with_candidate;
  }
  return members;
}

}  // namespace kandinsky
