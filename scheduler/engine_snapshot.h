#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "scheduler/priority.h"

namespace kandinsky {

// Counters and gauges of an engine at one moment. The totals count from the start of the engine.
struct EngineSnapshot {
  size_t queued_requests = 0;  // nothing of them has begun
  std::array<size_t, kPriorities> queued_by_priority = {};
  size_t running_requests = 0;
  int active_generations = 0;
  int ready_workers = 0;
  int workers = 0;
  bool draining = false;
  absl::Duration oldest_wait = absl::ZeroDuration();      // of the requests that wait
  absl::Duration estimated_wait = absl::ZeroDuration();   // of a normal request submitted now
  absl::Duration estimated_drain = absl::ZeroDuration();  // until all that was accepted is done
  double busy_ratio = 0;                                  // share of the last minute that workers computed
  int64_t accepted_total = 0;
  int64_t completed_total = 0;
  int64_t cancelled_queued_total = 0;  // before their start
  int64_t cancelled_running_total = 0;
  int64_t expired_queued_total = 0;  // the deadline passed after the request was accepted
  int64_t expired_running_total = 0;
  int64_t rejected_total = 0;     // refused by Submit, or by the pipeline before a first step
  int64_t shed_total = 0;         // gave their place in a full queue to another request
  int64_t failed_total = 0;       // a step failed, or the worker was lost
  int64_t steps_saved_total = 0;  // steps that ended requests did not take
  int64_t worker_restarts_total = 0;
  int64_t capped_keys = 0;  // batch keys with a memory cap, over all workers
};

}  // namespace kandinsky
