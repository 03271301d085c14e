#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "pipeline/pipeline.h"
#include "scheduler/row_caps.h"

namespace kandinsky {

// A sample that could take part in the next step.
struct BatchCandidate {
  BatchKey key;
  StepCost cost;
  absl::Time urgency;  // the earlier, the more urgent; see UrgencyOf in scheduler/engine_types.h
  absl::Time deadline = absl::InfiniteFuture();
  int times_passed_over = 0;  // plans since its last step that did not choose it
};

// Bounds of a batch.
struct BatchLimits {
  int max_rows = 8;                       // samples, >= 1
  int64_t max_latent_pixels = INT64_MAX;  // sum of StepCost::latent_pixels; one candidate always fits
  int64_t max_memory_bytes = INT64_MAX;   // sum of StepCost::memory_bytes; one candidate always fits
  int max_times_passed_over = 16;         // as EngineOptions::max_times_passed_over
};

// Why a step was not shared with a sample that was there. Of several differences the first in this order
// counts.
enum class NotMergedReason {
  kAlone,        // no other sample was there
  kNetwork,      // it needs other weights
  kStage,        // it is in another stage
  kSize,         // its latents have another size
  kGuidance,     // one of the two has guidance, the other has not
  kRowLimit,     // the batch had max_rows
  kPixelLimit,   // the batch would have had more than max_latent_pixels
  kMemoryLimit,  // the batch would have had more than max_memory_bytes
  kRowCap,       // the batch had as many rows as memory was known to hold
};
constexpr size_t kNotMergedReasons = 9;

// "alone", "network", "stage", "size", "guidance", "row_limit", "pixel_limit", "memory_limit", "row_cap".
const char* NotMergedReasonName(NotMergedReason reason);

// What the next step is.
struct BatchPlan {
  std::vector<size_t> members;  // indices into the candidates, the most urgent first; empty: nothing to do
  // How many candidates were left out for each reason; kAlone is 1 when the only candidate is the only
  // member. All zero when several candidates share the step and none was left out.
  std::array<int, kNotMergedReasons> not_merged = {};
};

// Chooses the members of the next step. A pure function.
//
// Candidates that were passed over max_times_passed_over times or more come first (the longest waiting one
// leading), then those with the smaller urgency, then those in the later stage, then the lower index. One
// candidate decides the batch key, others of that key fill up to the limits in that order:
// 1. the first of those that were passed over too often;
// 2. else the first in the decode stage: it is one step from its end, which frees memory;
// 3. else the first in the denoise stage, if its batch is full or nobody is in an earlier stage;
// 4. else the first in the encode, then in the prior stage: their steps are cheap, and when they are through
//    they fill the denoise batch, where the time is spent. While that is full they gather for a common step.
// Candidates whose deadline has passed at `now` are left out, and are not counted. Empty only when no
// candidate is left.
BatchPlan PlanBatch(absl::Span<const BatchCandidate> candidates, const BatchLimits& limits,
                    const RowCaps& row_caps, absl::Time now);

}  // namespace kandinsky
