#include "server/work_ticket.h"

#include <algorithm>

namespace kandinsky::server {

bool WorkTicket::BeginSubmission() {
  MutexLock lock(mutex_);
  if (state_ != State::kPreparing) return false;
  state_ = State::kSubmitting;
  return true;
}

// The engine's errors only say that the work has ended meanwhile.
void WorkTicket::Accepted(Engine& engine, RequestNumber number) {
  bool cancelled = false;
  absl::Time deadline;
  {
    MutexLock lock(mutex_);
    if (state_ == State::kEnded) return;  // it was quick
    state_ = State::kInEngine;
    engine_ = &engine;
    number_ = number;
    cancelled = cancelled_;
    deadline = deadline_;
  }
  if (cancelled) {
    engine.Cancel(number).IgnoreError();
  } else if (deadline > absl::InfinitePast()) {
    engine.ExtendDeadline(number, deadline).IgnoreError();
  }
}

void WorkTicket::ExtendDeadline(absl::Time deadline) {
  Engine* engine = nullptr;
  RequestNumber number = 0;
  {
    MutexLock lock(mutex_);
    deadline_ = std::max(deadline_, deadline);
    if (state_ != State::kInEngine) return;
    engine = engine_;
    number = number_;
  }
  engine->ExtendDeadline(number, deadline).IgnoreError();
}

void WorkTicket::Ended() {
  MutexLock lock(mutex_);
  state_ = State::kEnded;
}

bool WorkTicket::Cancel() {
  Engine* engine = nullptr;
  RequestNumber number = 0;
  {
    MutexLock lock(mutex_);
    cancelled_ = true;
    if (state_ == State::kPreparing) {
      state_ = State::kEnded;
      return true;
    }
    if (state_ != State::kInEngine) return false;
    engine = engine_;
    number = number_;
  }
  engine->Cancel(number).IgnoreError();
  return false;
}

bool WorkTicket::submitted() const {
  MutexLock lock(mutex_);
  return state_ != State::kPreparing;
}

}  // namespace kandinsky::server
