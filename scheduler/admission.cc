#include "scheduler/admission.h"

#include <algorithm>

namespace kandinsky {
namespace {

constexpr double kSafety = 1.25;

}  // namespace

absl::Duration LikelyWork(const WorkEstimate& estimate, bool idle) {
  if (idle || estimate.alone == absl::ZeroDuration()) return estimate.alone;
  const absl::Duration end = std::max(estimate.wait + estimate.shared, estimate.ahead);
  return std::max(estimate.alone, kSafety * end - estimate.wait);
}

absl::Duration ReachableAfter(const WorkEstimate& estimate, absl::Duration expected, absl::Duration left) {
  if (estimate.alone > left) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), expected - left);
}

RefusalReason CheckAdmission(const EngineOptions& options, const AdmissionState& state, absl::Time now,
                             absl::Time deadline) {
  if (!state.accepting) return RefusalReason::kDraining;
  if (state.ready_workers <= 0) return RefusalReason::kNoWorker;
  if (state.queued_requests >= options.max_queued_requests && !state.may_shed) {
    return RefusalReason::kQueueFull;
  }
  if (state.estimated_wait > options.max_queued_time) return RefusalReason::kQueueTooLong;
  if (deadline <= now) return RefusalReason::kDeadlinePassed;
  // Without a measurement nothing is known to be out of reach.
  if (state.estimated_work > absl::ZeroDuration() &&
      now + state.estimated_wait + state.estimated_work > deadline) {
    return RefusalReason::kDeadlineUnreachable;
  }
  return RefusalReason::kNone;
}

size_t ImagesToTake(const EngineOptions& options, size_t waiting, size_t active, size_t own, int workers) {
  const size_t sharers = static_cast<size_t>(std::max(1, workers));
  const size_t even_share = (waiting + active) / sharers;
  // What does not divide evenly goes to those who ask once the others have their even shares.
  const size_t remainder = active >= own + even_share * (sharers - 1) ? 1 : 0;
  const size_t most = static_cast<size_t>(std::max(1, options.max_active_generations));
  const size_t target = std::min(most, even_share + remainder);
  return target > own ? std::min(target - own, waiting) : 0;
}

}  // namespace kandinsky
