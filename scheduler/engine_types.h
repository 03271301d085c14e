#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// A request as the engine takes it: one GenerationRequest per image. The engine admits each as a generation
// of its own, so images of one request batch, move and end like those of different requests.
struct EngineRequest {
  std::string id;                         // unique among live requests
  std::vector<GenerationRequest> images;  // >= 1
  absl::Time deadline = absl::InfiniteFuture();
};

// Limits of an engine. See docs/configuration.md for what the extremes do.
struct EngineOptions {
  size_t max_queued_requests = 64;  // waiting, not running, >= 1; one more is RESOURCE_EXHAUSTED
  int max_batch_rows = 8;           // generations that share a step, >= 1
  // Sum of StepCost::latent_pixels over a batch; one generation always fits.
  int64_t max_batch_latent_pixels = 8 * 128 * 128;
  // Generations that a worker has begun and not finished, >= 1. More than max_batch_rows lets generations of
  // other stages and sizes gather for a common step meanwhile; each holds its latents and embeddings. A
  // request with more images than this is taken by a worker that has nothing else.
  int max_active_generations = 16;
  // Steps that a runnable generation may be passed over before its batch key wins the next one, >= 1. Small
  // values alternate between batch keys, large ones finish the most urgent first.
  int max_times_passed_over = 4;
};

// Counters and gauges of an engine at one moment. The totals count from the start of the engine.
struct EngineSnapshot {
  size_t queued_requests = 0;
  size_t running_requests = 0;
  int active_generations = 0;
  int ready_workers = 0;
  bool draining = false;
  int64_t completed_total = 0;
  int64_t cancelled_total = 0;
  int64_t expired_total = 0;   // the deadline passed after the request was accepted
  int64_t rejected_total = 0;  // refused by Submit, or by the pipeline before a first step
  int64_t failed_total = 0;    // a step failed
};

// One batched step, also a failed one.
struct StepRecord {
  BatchKey key;
  int rows = 0;  // generations in the batch
  absl::Duration duration;
  absl::Status status;
};

}  // namespace kandinsky
