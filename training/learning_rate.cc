#include "training/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kandinsky::training {

double LearningRateFactor(const ScheduleOptions& schedule, int64_t step, int64_t max_steps) {
  if (step < schedule.warmup_steps) {
    return static_cast<double>(step) / static_cast<double>(schedule.warmup_steps);
  }
  if (schedule.kind == ScheduleKind::kConstant) return 1.0;
  const auto falling = static_cast<double>(std::max<int64_t>(1, max_steps - schedule.warmup_steps));
  if (schedule.kind == ScheduleKind::kLinear) {
    return std::max(0.0, static_cast<double>(max_steps - step) / falling);
  }
  const double done = static_cast<double>(step - schedule.warmup_steps) / falling;
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * done)));
}

}  // namespace kandinsky::training
