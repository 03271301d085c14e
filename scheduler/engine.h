#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "pipeline/pipeline.h"
#include "scheduler/engine_types.h"
#include "scheduler/generation_observer.h"

namespace kandinsky {

// Admission, queue and workers behind one object; the only class that the server talks to. Thread-safe.
class Engine {
 public:
  // Starts one worker per factory; the factory is called, and its pipeline used and destroyed, on that
  // worker's thread. `clock` outlives the engine. `on_step`, which may be null, is called after every batched
  // step from the worker's thread (from several threads at once when there are several workers); it must not
  // block.
  Engine(EngineOptions options, std::vector<PipelineFactory> factories, Clock& clock,
         std::function<void(const StepRecord&)> on_step = nullptr);

  // Cancels what is left, then joins the workers: lasts as long as the steps that are running. Every observer
  // gets its OnFinished first. No other call may be under way.
  ~Engine();

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Blocks until every factory has returned; returns the first error among them, FAILED_PRECONDITION when
  // there is no factory.
  absl::Status WaitUntilReady();

  // What the loaded model can do. Only after WaitUntilReady() returned OK.
  const Capabilities& capabilities() const;

  // Takes a request or refuses it at once, without blocking. After OK the observer receives its events and
  // exactly one OnFinished, possibly before Submit returns; after an error it is never called.
  // INVALID_ARGUMENT: no image or no observer. UNAVAILABLE: draining, or no worker is ready.
  // DEADLINE_EXCEEDED: already past. ALREADY_EXISTS: a live request has this id. RESOURCE_EXHAUSTED: the
  // queue is full.
  absl::Status Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer);

  // Ends a request at once with CANCELLED: after the events that are already on their way its observer gets
  // only OnFinished, and the step that is running, if any, is its last. NOT_FOUND when there is no live one
  // with this id; cancelling twice is harmless.
  absl::Status Cancel(const std::string& id);

  // Refuses new requests from now on, waits until the accepted ones have ended or `deadline` (by the clock),
  // then cancels the rest. Returns how many had to be cancelled; every OnFinished has returned by then.
  // Blocks.
  int Drain(absl::Time deadline);

  // How long a request submitted now would wait for a worker, from measured step times; zero when a worker
  // has room or nothing was measured.
  absl::Duration EstimateWait() const;

  EngineSnapshot snapshot() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace kandinsky
