#include "scheduler/live_request.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace kandinsky {

bool IsEnd(RequestState state) { return state != RequestState::kQueued && state != RequestState::kRunning; }

bool IsLegalTransition(RequestState from, RequestState to) {
  switch (from) {
    case RequestState::kQueued:
      return to == RequestState::kRunning || to == RequestState::kCancelled || to == RequestState::kExpired ||
             to == RequestState::kShed;
    case RequestState::kRunning:
      return IsEnd(to) && to != RequestState::kShed;
    default:
      return false;
  }
}

absl::Status DeadlineStatus() { return absl::DeadlineExceededError("the deadline passed"); }

LiveRequest::LiveRequest(RequestNumber number, EngineRequest request,
                         std::shared_ptr<GenerationObserver> observer, absl::Time arrival)
    : number_(number),
      request_(std::move(request)),
      arrival_(arrival),
      channel_(std::move(observer)),
      deadline_(request_.deadline) {}

absl::Time LiveRequest::deadline() const {
  MutexLock lock(mutex_);
  return deadline_;
}

absl::Time LiveRequest::urgency() const { return UrgencyOf(arrival_, deadline(), priority()); }

void LiveRequest::SetDeadline(absl::Time deadline) {
  MutexLock lock(mutex_);
  deadline_ = deadline;
}

void LiveRequest::MoveTo(RequestState state) {
  assert(IsLegalTransition(state_.load(), state));
  state_.store(state, std::memory_order_release);
}

void LiveRequest::RecordStarted(absl::Time now) {
  MutexLock lock(mutex_);
  started_ = now;
}

void LiveRequest::RecordPromptTokens(std::vector<PromptTokens> tokens) {
  MutexLock lock(mutex_);
  if (statistics_.prompt_tokens.empty()) statistics_.prompt_tokens = std::move(tokens);
}

void LiveRequest::RecordStep(const StepRecord& step) {
  MutexLock lock(mutex_);
  statistics_.stage_durations[static_cast<size_t>(step.key.stage)] += step.duration;
  statistics_.max_batch_rows = std::max(statistics_.max_batch_rows, step.rows);
  ++statistics_.steps;
  summed_batch_rows_ += step.rows;
  for (size_t i = 0; i < kNotMergedReasons; ++i) {
    statistics_.not_merged_steps[i] += step.not_merged[i] > 0 ? 1 : 0;
  }
}

GenerationStatistics LiveRequest::Statistics(absl::Time now) const {
  MutexLock lock(mutex_);
  GenerationStatistics statistics = statistics_;
  statistics.queued = std::min(started_, now) - arrival_;
  statistics.total = now - arrival_;
  if (statistics.steps > 0) {
    statistics.mean_batch_rows = static_cast<double>(summed_batch_rows_) / statistics.steps;
  }
  return statistics;
}

}  // namespace kandinsky
