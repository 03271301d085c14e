#pragma once

#include <array>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "pipeline/generation_request.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// Steps that a generation still has to do.
struct RemainingWork {
  std::array<int, 4> steps = {};  // by Stage, encode..decode
  int latent_height = 0;
  int latent_width = 0;
};

// All the work of `request`.
RemainingWork WorkOf(const GenerationRequest& request);

// What is left of it when its generation stands at `progress`.
RemainingWork WorkAfter(const GenerationRequest& request, const StageProgress& progress);

// Learns how long steps take: exponential averages by stage and latent size. A size that was not measured yet
// is scaled by area from another one of its stage. Thread-safe.
class StepTimeModel {
 public:
  // `weight` of a new measurement in the average, in (0, 1].
  explicit StepTimeModel(double weight = 0.2) : weight_(weight) {}

  // A step of `rows` generations took `duration`.
  void Record(const BatchKey& key, int rows, absl::Duration duration) EXCLUDES(mutex_);

  // Time until a generation has done `work` when it is a member of every step. Zero when nothing was
  // measured.
  absl::Duration ElapsedTime(const RemainingWork& work) const EXCLUDES(mutex_);

  // Time that `work` takes from the device: each step's time divided by the rows that shared it. Zero when
  // nothing was measured.
  absl::Duration DeviceTime(const RemainingWork& work) const EXCLUDES(mutex_);

 private:
  struct Kind {
    Stage stage;
    int latent_height;
    int latent_width;

    friend bool operator==(const Kind&, const Kind&) = default;
    template <typename H>
    friend H AbslHashValue(H state, const Kind& kind) {
      return H::combine(std::move(state), kind.stage, kind.latent_height, kind.latent_width);
    }
  };
  struct Average {
    absl::Duration step;  // of a whole batched step
    absl::Duration row;   // of a step divided by its rows
  };

  static Kind KindOf(Stage stage, int latent_height, int latent_width);
  Average Lookup(const Kind& kind) const REQUIRES(mutex_);
  absl::Duration Sum(const RemainingWork& work, absl::Duration Average::*part) const EXCLUDES(mutex_);

  const double weight_;
  mutable Mutex mutex_;
  absl::flat_hash_map<Kind, Average> averages_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
