#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "pipeline/model.h"
#include "scheduler/engine_snapshot.h"
#include "scheduler/engine_types.h"
#include "scheduler/generation_observer.h"

namespace kandinsky {

// Calls that an engine makes from its own threads, possibly from several at once; they must not block, and
// each may be null.
struct EngineCallbacks {
  std::function<void(const StepRecord&)> on_step = nullptr;  // after every batched step
  // After a worker lost or regained its pipeline.
  std::function<void(int ready_workers)> on_readiness = nullptr;
};

// Admission, queue and workers behind one object; the only class that the server talks to. Thread-safe.
class Engine {
 public:
  using Callbacks = EngineCallbacks;

  // Starts a worker for each of the model's devices; its pipeline is made, used and destroyed on the worker's
  // thread. A worker that loses its pipeline fails the requests it had started, and makes a new one, as often
  // as it takes. `clock` outlives the engine.
  Engine(EngineOptions options, LoadedModel model, Clock& clock, Callbacks callbacks = {});

  // Cancels what is left, then joins the workers: lasts as long as the steps that are running. Every observer
  // gets its OnFinished first. No other call may be under way.
  ~Engine();

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Blocks until every worker has a pipeline or could not make one; returns the first error among them,
  // FAILED_PRECONDITION when there is no worker.
  absl::Status WaitUntilReady();

  const Model& model() const;

  // Takes a request or refuses it at once, without blocking. After OK the observer receives its events and
  // exactly one OnFinished, possibly before Submit returns; after an error it is never called.
  // INVALID_ARGUMENT: no image or no observer. UNAVAILABLE: draining, or no worker has a pipeline.
  // DEADLINE_EXCEEDED: already past, or out of reach. RESOURCE_EXHAUSTED: the queue is full or too long.
  // A full queue gives the place of a waiting request to one of higher priority, or of a client that has
  // fewer waiting (RequestQueue::ShedFor); the request that goes ends with ABORTED.
  Submission Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer);

  // What Submit would answer now, for who has work to do before it submits; such a refusal counts as one. The
  // request needs no content that is not in its sizes and steps.
  Submission CheckAdmission(const EngineRequest& request);

  // Ends a request at once with CANCELLED: after the events that are already on their way its observer gets
  // only OnFinished, and the steps that are running, if any, are its last. NOT_FOUND when it is not live;
  // cancelling twice is harmless.
  absl::Status Cancel(RequestNumber number);

  // Gives a live request a later deadline: it expires then, and its urgency follows. An earlier one than it
  // has changes nothing. NOT_FOUND when it is not live.
  absl::Status ExtendDeadline(RequestNumber number, absl::Time deadline);

  // Refuses new requests from now on, waits until the accepted ones have ended or `deadline` (by the clock),
  // then cancels the rest. Returns how many had to be cancelled; every OnFinished has returned by then.
  // Blocks.
  int Drain(absl::Time deadline);

  // How long a request submitted now would wait for a worker, and how long its work would take then, from
  // measured step times; zero when a worker has room or nothing was measured.
  struct Estimate {
    absl::Duration wait = absl::ZeroDuration();
    absl::Duration work = absl::ZeroDuration();
  };
  Estimate EstimateTimes(const EngineRequest& request) const;

  EngineSnapshot snapshot() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace kandinsky
