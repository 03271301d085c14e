#pragma once

#include "absl/time/time.h"
#include "base/mutex.h"
#include "scheduler/engine.h"

namespace kandinsky::server {

// Where a piece of work stands on its way into the engine, so that it can be cancelled at any moment.
//
//   preparing --BeginSubmission--> submitting --Accepted--> in the engine --Ended--> ended
//       \-----------------Cancel------------------------------------------------------^
//
// Thread-safe.
class WorkTicket {
 public:
  // Its inputs are there: from now on only the engine, or its refusal, ends the work. False when it was
  // cancelled before.
  bool BeginSubmission() EXCLUDES(mutex_);

  // The engine took it. If it was cancelled meanwhile, the engine is told now.
  void Accepted(Engine& engine, RequestNumber number) EXCLUDES(mutex_);

  // Moves the work's deadline to `deadline`, if that is later than what the engine has; also when the engine
  // takes it only later. Not from a call of the engine.
  void ExtendDeadline(absl::Time deadline) EXCLUDES(mutex_);

  // Nothing of it is left to be cancelled.
  void Ended() EXCLUDES(mutex_);

  // Cancels what there is to cancel. True when it was being prepared: then nobody else ends it, so the caller
  // must. Not from a call of the engine, which must not call it back.
  bool Cancel() EXCLUDES(mutex_);

  // Whether it is past preparation.
  bool submitted() const EXCLUDES(mutex_);

 private:
  enum class State { kPreparing, kSubmitting, kInEngine, kEnded };

  mutable Mutex mutex_;
  State state_ GUARDED_BY(mutex_) = State::kPreparing;
  bool cancelled_ GUARDED_BY(mutex_) = false;
  absl::Time deadline_ GUARDED_BY(mutex_) = absl::InfinitePast();  // the latest of ExtendDeadline
  Engine* engine_ GUARDED_BY(mutex_) = nullptr;                    // set when it took the work
  RequestNumber number_ GUARDED_BY(mutex_) = 0;
};

}  // namespace kandinsky::server
