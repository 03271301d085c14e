#include "scheduler/engine_types.h"

#include <algorithm>

namespace kandinsky {

const char* PriorityName(Priority priority) {
  switch (priority) {
    case Priority::kLow:
      return "low";
    case Priority::kNormal:
      return "normal";
    case Priority::kHigh:
      return "high";
  }
  return "";
}

absl::Time UrgencyOf(absl::Time arrival, absl::Time deadline, Priority priority) {
  const int above_normal = static_cast<int>(priority) - static_cast<int>(Priority::kNormal);
  return std::min(deadline, arrival + absl::Minutes(2)) - above_normal * absl::Seconds(30);
}

const char* RefusalReasonName(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kNone:
      return "none";
    case RefusalReason::kInvalid:
      return "invalid";
    case RefusalReason::kDraining:
      return "draining";
    case RefusalReason::kNoWorker:
      return "no_worker";
    case RefusalReason::kQueueFull:
      return "queue_full";
    case RefusalReason::kQueueTooLong:
      return "queue_too_long";
    case RefusalReason::kDeadlinePassed:
      return "deadline_passed";
    case RefusalReason::kDeadlineUnreachable:
      return "deadline_unreachable";
  }
  return "";
}

}  // namespace kandinsky
