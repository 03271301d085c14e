#include "server/serving_state.h"

#include "server/error_details.h"

namespace kandinsky::server {

void ServingState::BecomeReady(Engine& engine) {
  MutexLock lock(mutex_);
  engine_ = &engine;
  if (state_ == State::kLoading) state_ = State::kReady;
}

void ServingState::Refuse() {
  MutexLock lock(mutex_);
  state_ = State::kRefusing;
}

Engine* ServingState::EngineForNewWork(grpc::Status& refusal) const {
  MutexLock lock(mutex_);
  switch (state_) {
    case State::kReady:
      return engine_;
    case State::kLoading:
      refusal = UnavailableError("MODEL_LOADING", "the model is being loaded", absl::Seconds(2));
      return nullptr;
    case State::kRefusing:
      break;
  }
  refusal = UnavailableError("SHUTTING_DOWN", "the server is shutting down", absl::Seconds(1));
  return nullptr;
}

Engine* ServingState::engine() const {
  MutexLock lock(mutex_);
  return engine_;
}

ServingState::State ServingState::state() const {
  MutexLock lock(mutex_);
  return state_;
}

int ServingState::live_calls() const {
  MutexLock lock(mutex_);
  return live_calls_;
}

int ServingState::preparing_requests() const {
  MutexLock lock(mutex_);
  return on_their_way_;
}

void ServingState::WaitUntilArrived(Clock& clock, absl::Time deadline) {
  MutexLock lock(mutex_);
  while (on_their_way_ > 0 && clock.Now() < deadline) clock.WaitUntil(mutex_, arrived_, deadline);
}

bool ServingState::WaitUntilIdle(Clock& clock, absl::Time deadline) {
  MutexLock lock(mutex_);
  while (live_calls_ > 0 && clock.Now() < deadline) clock.WaitUntil(mutex_, idle_, deadline);
  return live_calls_ == 0;
}

void ServingState::AddLive(int change) {
  MutexLock lock(mutex_);
  live_calls_ += change;
  // Under the lock: the waiter may destroy this object as soon as it sees zero.
  if (live_calls_ == 0) idle_.NotifyAll();
}

void ServingState::AddOnItsWay(int change) {
  MutexLock lock(mutex_);
  on_their_way_ += change;
  if (on_their_way_ == 0) arrived_.NotifyAll();
}

}  // namespace kandinsky::server
