#pragma once

#include <grpcpp/support/status.h>

#include <cstddef>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "pipeline/pipeline.h"
#include "scheduler/engine.h"

namespace kandinsky::server {

// Whether the service takes work, and how much of it is alive. Thread-safe.
//
//   kLoading --BecomeReady--> kReady --Refuse--> kRefusing
//       \--------------Refuse--------------------^
class ServingState {
 public:
  enum class State { kLoading, kReady, kRefusing };

  // Counts one call as live, from its first byte until nothing refers to it any more.
  class LiveCall {
   public:
    explicit LiveCall(ServingState& state) : state_(state) { state_.AddLive(1); }
    ~LiveCall() { state_.AddLive(-1); }
    LiveCall(const LiveCall&) = delete;
    LiveCall& operator=(const LiveCall&) = delete;

   private:
    ServingState& state_;
  };

  // Counts work that was accepted and is on its way to the engine.
  class WorkOnItsWay {
   public:
    explicit WorkOnItsWay(ServingState& state) : state_(state) { state_.AddOnItsWay(1); }
    ~WorkOnItsWay() { state_.AddOnItsWay(-1); }
    WorkOnItsWay(const WorkOnItsWay&) = delete;
    WorkOnItsWay& operator=(const WorkOnItsWay&) = delete;

   private:
    ServingState& state_;
  };

  // `engine` is ready and outlives all calls. Without effect once refusing.
  void BecomeReady(Engine& engine) EXCLUDES(mutex_);
  void Refuse() EXCLUDES(mutex_);

  // The engine for new work, or null and the UNAVAILABLE error of this state.
  Engine* EngineForNewWork(grpc::Status& refusal) const EXCLUDES(mutex_);

  // The engine; null as long as it is not ready.
  Engine* engine() const EXCLUDES(mutex_);

  State state() const EXCLUDES(mutex_);
  int live_calls() const EXCLUDES(mutex_);
  // Those of WorkOnItsWay.
  int preparing_requests() const EXCLUDES(mutex_);

  // Waits until no work is on its way or `deadline`.
  void WaitUntilArrived(Clock& clock, absl::Time deadline) EXCLUDES(mutex_);

  // Waits until no call is alive or `deadline`; returns whether none is.
  bool WaitUntilIdle(Clock& clock, absl::Time deadline) EXCLUDES(mutex_);

 private:
  void AddLive(int change) EXCLUDES(mutex_);
  void AddOnItsWay(int change) EXCLUDES(mutex_);

  mutable Mutex mutex_;
  ConditionVariable idle_;
  ConditionVariable arrived_;
  State state_ GUARDED_BY(mutex_) = State::kLoading;
  Engine* engine_ GUARDED_BY(mutex_) = nullptr;
  int live_calls_ GUARDED_BY(mutex_) = 0;
  int on_their_way_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kandinsky::server
