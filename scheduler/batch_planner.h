#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// A generation that could take part in the next step.
struct BatchCandidate {
  BatchKey key;
  StepCost cost;
  absl::Time arrival;
  absl::Time deadline = absl::InfiniteFuture();
  int times_passed_over = 0;  // plans since its last step that did not choose it
};

// Bounds of a batch.
struct BatchLimits {
  int max_rows = 8;                             // generations, >= 1
  int64_t max_latent_pixels = INT64_MAX;        // sum of StepCost::latent_pixels; one candidate always fits
  int max_times_passed_over = 4;                // as EngineOptions::max_times_passed_over
  absl::flat_hash_map<BatchKey, int> row_caps;  // lower caps on rows by key, each >= 1
};

// Chooses the members of the next step: indices into `candidates`, the most urgent one first. A pure
// function.
//
// The most urgent candidate decides the batch key, others of that key fill up to the limits in the same
// order: candidates that were passed over max_times_passed_over times or more come first (the longest waiting
// one leading), then those with the least time to their deadline, then the older, then those in the later
// stage (finishing frees memory), then the lower index. Candidates whose deadline has passed at `now` are
// left out. Empty only when no candidate is left.
std::vector<size_t> PlanBatch(absl::Span<const BatchCandidate> candidates, const BatchLimits& limits,
                              absl::Time now);

}  // namespace kandinsky
