#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "pipeline/pipeline.h"
#include "pipeline/plan.h"
#include "scheduler/batch_planner.h"
#include "scheduler/priority.h"

namespace kandinsky {

// A request as the engine takes it: one GenerationRequest per image (or per text, embedding, ...; "image"
// stands for any of them), all with the same task, size and steps. The engine admits each as a sample of
// its own, so images of one request batch, move and end like those of different requests, on one worker or on
// several.
struct EngineRequest {
  std::vector<GenerationRequest> images = {};  // >= 1
  // The work of each image, by Model::PlanOf; null: the engine asks the model.
  std::shared_ptr<const Plan> plan = nullptr;
  std::string client = {};  // clients share the workers evenly; "" is one of them
  Priority priority = Priority::kNormal;
  absl::Time deadline = absl::InfiniteFuture();
};

// Names a request of one engine; never used again.
using RequestNumber = uint64_t;

// What may share a worker's batch.
enum class BatchMode {
  // Step-level batching: members join and leave at step boundaries; they need only the same BatchKey.
  kShape,
  // Classical dynamic batching: a batch is formed of waiting images with the same size, steps and guidance
  // (of prior and decoder), networks, adapters and sampler, and runs as it is to its end.
  kStrict,
};

// Limits and rules of an engine. See docs/batching.md and docs/configuration.md for what the extremes do.
struct EngineOptions {
  BatchMode batch_mode = BatchMode::kShape;

  size_t max_queued_requests = 64;  // waiting, not begun, >= 1
  // A request whose start would be later than this after its arrival is refused; > 0.
  absl::Duration max_queued_time = absl::InfiniteDuration();
  // Waiting this long lifts a request by one priority; > 0.
  absl::Duration priority_ageing = absl::Seconds(30);

  int max_batch_rows = 8;  // samples that share a step, >= 1
  // Sum of StepCost::latent_pixels over a batch; one sample always fits.
  int64_t max_batch_latent_pixels = int64_t{8} * 128 * 128;
  // Sum of StepCost::memory_bytes over a batch. A sample that needs more than this alone is refused.
  int64_t max_batch_memory_bytes = INT64_MAX;
  // Generations that a worker has begun and not finished, >= 1. More than max_batch_rows lets samples of
  // other stages and sizes gather for a common step meanwhile; each holds its latents and embeddings.
  int max_active_generations = 32;
  // Steps that a runnable sample may be passed over before its batch key wins the next one, >= 1. Small
  // values alternate between batch keys, large ones finish the most urgent first.
  int max_times_passed_over = 16;
  // An idle worker begins as soon as this many images wait (in kStrict mode: that may share its batch)...
  int preferred_batch_rows = 8;
  // ...or the oldest of them has waited this long. Zero: it never waits.
  absl::Duration batch_delay = absl::ZeroDuration();
  // Steps as large as a memory cap before one row more is tried, >= 1.
  int probe_after_steps = 64;
  // Shortest time between two rounds of telling waiting requests their place.
  absl::Duration queue_status_interval = absl::Milliseconds(100);
  // Pause before a worker that lost its pipeline makes a new one; doubles with each failure, up to a minute.
  absl::Duration restart_delay = absl::Seconds(1);
};

// What decides who is served first among equals: the deadline, or two minutes after the arrival when that is
// earlier, with each priority above normal counting as 30 seconds less, below as 30 seconds more.
absl::Time UrgencyOf(absl::Time arrival, absl::Time deadline, Priority priority);

// Why Submit refused a request.
enum class RefusalReason {
  kNone,
  kInvalid,              // no image or no observer
  kDraining,             // the engine ends
  kNoWorker,             // no worker has a pipeline
  kQueueFull,            // max_queued_requests wait
  kQueueTooLong,         // it would start later than max_queued_time from now
  kDeadlinePassed,       //
  kDeadlineUnreachable,  // measured step times say that it would end after its deadline
};

// "none", "invalid", "draining", "no_worker", "queue_full", "queue_too_long", "deadline_passed",
// "deadline_unreachable".
const char* RefusalReasonName(RefusalReason reason);

// The answer of Submit.
struct Submission {
  absl::Status status;  // OK when the request was taken
  RefusalReason refusal = RefusalReason::kNone;
  RequestNumber number = 0;  // when it was taken
  // From measured step times, zero when nothing was measured: the wait for a worker, and the wait plus the
  // work.
  absl::Duration estimated_wait = absl::ZeroDuration();
  absl::Duration estimated_total = absl::ZeroDuration();
  // Of kDeadlineUnreachable: when the same request with as much time could be taken, if little else comes;
  // zero when never.
  absl::Duration reachable_after = absl::ZeroDuration();
};

// One batched step, also a failed one.
struct StepRecord {
  BatchKey key;
  int rows = 0;  // samples in the batch
  absl::Duration duration = absl::ZeroDuration();
  absl::Status status = absl::OkStatus();
  std::array<int, kNotMergedReasons> not_merged = {};  // as BatchPlan::not_merged
  bool cap_raised = false;                             // a memory cap was raised by it
};

}  // namespace kandinsky
