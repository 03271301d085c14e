#pragma once

#include <array>
#include <compare>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/mutex.h"
#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"
#include "pipeline/planned_steps.h"

namespace kandinsky {

// Steps that a generation still has to do.
struct RemainingWork {
  std::array<int, 4> steps = {};                    // by Stage, encode..decode
  std::vector<EncodeNetwork> encode_networks = {};  // one for each encode step
  int latent_height = 0;
  int latent_width = 0;
  bool prior_guided = false;    // the prior's steps run with guidance
  bool decoder_guided = false;  // the denoise steps do
};

// All the work of `request`, by PlannedSteps; `latent_scale` as in Capabilities.
RemainingWork WorkOf(const GenerationRequest& request, int latent_scale);

// What is left of the work of a request, `whole`, when its generation stands at `progress`.
RemainingWork WorkAfter(const RemainingWork& whole, const StageProgress& progress);

// Learns how long steps take: exponential averages by stage (by network in the encode stage), latent size and
// guidance. What was not measured yet is taken from the measurement of its stage (and network) that is
// nearest in area (by ratio), scaled by area; among those of one area one with the same guidance is taken,
// else a guided step counts as two unguided ones. Thread-safe.
class StepTimeModel {
 public:
  // `weight` of a new measurement in the average, in (0, 1].
  explicit StepTimeModel(double weight = 0.2) : weight_(weight) {}

  // A step of `rows` generations took `duration`.
  void Record(const BatchKey& key, int rows, absl::Duration duration) EXCLUDES(mutex_);

  // Time until a generation has done `work` when it is a member of every step. Zero when nothing was
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
    std::string network;  // of the encode stage, "" in the others
    int latent_height;    // 0 in stages without a spatial size
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
