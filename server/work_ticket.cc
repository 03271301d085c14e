#include "server/work_ticket.h"

namespace kandinsky {

bool WorkTicket::BeginSubmission() {
  MutexLock lock(mutex_);
  if (state_ != State::kPreparing) return false;
  state_ = State::kSubmitting;
  return true;
}

void WorkTicket::Accepted(Engine& engine, RequestNumber number) {
  {
    MutexLock lock(mutex_);
    if (state_ == State::kEnded) return;  // it was quick
    state_ = State::kInEngine;
    engine_ = &engine;
    number_ = number;
    if (!cancelled_) return;
  }
  // An error only says that the work has ended meanwhile.
  engine.Cancel(number).IgnoreError();
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

}  // namespace kandinsky
