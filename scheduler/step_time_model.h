#pragma once

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "pipeline/plan.h"

namespace kandinsky {

// The last `steps` steps of a plan: what a sample still has to do.
struct RemainingWork {
  RemainingWork() = default;
  // All of it.
  explicit RemainingWork(std::shared_ptr<const Plan> whole)
      : plan(std::move(whole)), steps(plan->TotalSteps()) {}
  RemainingWork(std::shared_ptr<const Plan> whole, int left) : plan(std::move(whole)), steps(left) {}

  std::shared_ptr<const Plan> plan;
  int steps = 0;
};

// Learns how long steps take: exponential averages by stage, network, latent size and guidance, whatever the
// adapter. What was not measured yet is taken from the measurement of its stage that is nearest: of its own
// network if there is one (in the encode stage only then), then in area (by ratio), by which it is scaled,
// then in guidance, where a guided step counts as two unguided ones. Thread-safe.
class StepTimeModel {
 public:
  // `weight` of a new measurement in the average, in (0, 1].
  explicit StepTimeModel(double weight = 0.2) : weight_(weight) {}

  // A step of `rows` samples took `duration`.
  void Record(const BatchKey& key, int rows, absl::Duration duration) EXCLUDES(mutex_);

  // Time until a sample has done `work` when it is a member of every step. Zero when nothing was
  // measured.
  absl::Duration ElapsedTime(const RemainingWork& work) const EXCLUDES(mutex_);

  // As ElapsedTime, with the shortest steps of late instead of average ones: `work` will hardly take less.
  // Zero when a part of it was not measured at least four times, since first steps are slow.
  absl::Duration LeastTime(const RemainingWork& work) const EXCLUDES(mutex_);

  // Time that `work` takes from the device: each step's time divided by the rows that shared it. Zero when
  // nothing was measured.
  absl::Duration DeviceTime(const RemainingWork& work) const EXCLUDES(mutex_);

 private:
  struct Kind {
    Stage stage;
    std::string network;
    int latent_height;  // 0 in stages without a spatial size
    int latent_width;
    bool guided;

    friend auto operator<=>(const Kind&, const Kind&) = default;
  };
  struct Average {
    absl::Duration step = {};  // of a whole batched step
    absl::Duration row = {};   // of a step divided by its rows
    // The shortest step; each longer one lengthens it by a hundredth, so that it follows a change.
    absl::Duration shortest = {};
    int measurements = 0;
  };

  static Kind KindOf(const BatchKey& key);
  Average Lookup(const Kind& kind) const REQUIRES(mutex_);
  // `steps` steps with `key`.
  void Add(const BatchKey& key, int steps, Average& sum) const REQUIRES(mutex_);
  Average Sum(const RemainingWork& work) const EXCLUDES(mutex_);

  const double weight_;
  mutable Mutex mutex_;
  std::map<Kind, Average> averages_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
