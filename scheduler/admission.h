#pragma once

#include <cstddef>

#include "absl/time/time.h"
#include "scheduler/engine_types.h"

namespace kandinsky {

// What the decision on a new request depends on.
struct AdmissionState {
  bool accepting = true;       // false once the engine ends
  int ready_workers = 1;       // workers with a pipeline
  size_t queued_requests = 0;  // waiting now
  bool may_shed = false;       // a waiting request would give its place (RequestQueue::ShedFor)
  // From measured step times, zero when nothing was measured: wait of the new request for a worker, and time
  // of its own work once begun.
  absl::Duration estimated_wait = absl::ZeroDuration();
  absl::Duration estimated_work = absl::ZeroDuration();
};

// What the time of a request after its start depends on, from measured step times.
struct WorkEstimate {
  absl::Duration alone = absl::ZeroDuration();   // its steps at their fastest; zero: too little was measured
  absl::Duration shared = absl::ZeroDuration();  // its steps as they are now, in shared batches
  absl::Duration ahead = absl::ZeroDuration();   // device time, per worker, of it and all that is more urgent
  absl::Duration wait = absl::ZeroDuration();    // for a worker
};

// AdmissionState::estimated_work of a request: what it takes alone when nothing else is under way (`idle`),
// else what its share of the workers lets it take, with a quarter more: who is admitted at the very edge is
// late half of the time, and his work is lost. Zero when too little was measured. A pure function.
absl::Duration LikelyWork(const WorkEstimate& estimate, bool idle);

// How much later a request with `left` until its deadline, which is expected to end after `expected`, would
// be in time, since by then so much of what is ahead of it is done. Zero when it never would: its own work
// alone takes longer. A pure function.
absl::Duration ReachableAfter(const WorkEstimate& estimate, absl::Duration expected, absl::Duration left);

// Whether a request with `deadline` may enter, kNone, or why not. A pure function, the same for the engine
// and for simulations. The checks are made in the order of RefusalReason, so that a client learns of a full
// queue before it learns of its deadline.
RefusalReason CheckAdmission(const EngineOptions& options, const AdmissionState& state, absl::Time now,
                             absl::Time deadline);

// How many more images a worker should begin now, so that the workers share the work evenly and each keeps to
// max_active_generations: `waiting` images wait, `active` were begun by all workers, `own` of them by this
// one. At least 1 when it has none and something waits. A pure function.
size_t ImagesToTake(const EngineOptions& options, size_t waiting, size_t active, size_t own, int workers);

}  // namespace kandinsky
