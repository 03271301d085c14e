#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "scheduler/engine_types.h"
#include "scheduler/generation_observer.h"
#include "scheduler/observer_channel.h"

namespace kandinsky {

// The life of an accepted request.
//
//   kQueued --> kRunning --> kCompleted
//      |           |-------> kRejected   the pipeline cannot serve it; no step has run
//      |           |-------> kFailed     the pipeline failed
//      |-----------|-------> kCancelled
//      |-----------|-------> kExpired    the deadline passed
//      '-------> kShed                   its place in the full queue was given to another
//
// All but the first two are ends: no transition leaves them.
enum class RequestState { kQueued, kRunning, kCompleted, kRejected, kFailed, kCancelled, kExpired, kShed };

bool IsEnd(RequestState state);
bool IsLegalTransition(RequestState from, RequestState to);

// What the observer of a request is told whose deadline passed.
absl::Status DeadlineStatus();

// A request between Submit and its end: what was asked, where it stands, whom to tell. Shared by the registry
// and the worker that has it. Thread-safe.
class LiveRequest {
 public:
  LiveRequest(RequestNumber number, EngineRequest request, std::shared_ptr<GenerationObserver> observer,
              absl::Time arrival);

  RequestNumber number() const { return number_; }
  const std::vector<GenerationRequest>& images() const { return request_.images; }
  // Of each image.
  const std::shared_ptr<const Plan>& plan() const { return request_.plan; }
  absl::Time deadline() const EXCLUDES(mutex_);
  Priority priority() const { return request_.priority; }
  absl::Time arrival() const { return arrival_; }
  absl::Time urgency() const EXCLUDES(mutex_);  // UrgencyOf, with the deadline as it is now

  RequestState state() const { return state_.load(std::memory_order_acquire); }
  bool ended() const { return IsEnd(state()); }
  // Only RequestRegistry calls it, under its lock; the transition must be legal.
  void MoveTo(RequestState state);

  // Only RequestRegistry calls it, under its lock: deadlines are sorted there.
  void SetDeadline(absl::Time deadline) EXCLUDES(mutex_);

  ObserverChannel& channel() { return channel_; }

  void RecordStarted(absl::Time now) EXCLUDES(mutex_);
  void RecordPromptTokens(std::vector<PromptTokens> tokens) EXCLUDES(mutex_);
  // One batched step, at least one sample of which belongs to this request.
  void RecordStep(const StepRecord& step) EXCLUDES(mutex_);
  GenerationStatistics Statistics(absl::Time now) const EXCLUDES(mutex_);

 private:
  const RequestNumber number_;
  const EngineRequest request_;
  const absl::Time arrival_;
  std::atomic<RequestState> state_ = RequestState::kQueued;
  ObserverChannel channel_;

  mutable Mutex mutex_;
  absl::Time deadline_ GUARDED_BY(mutex_);  // of the request, or later
  absl::Time started_ GUARDED_BY(mutex_) = absl::InfiniteFuture();
  int64_t summed_batch_rows_ GUARDED_BY(mutex_) = 0;
  GenerationStatistics statistics_ GUARDED_BY(mutex_);  // without what the two members above give
};

}  // namespace kandinsky
