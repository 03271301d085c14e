#include "scheduler/request_watcher.h"

#include <pthread.h>

#include <utility>

namespace kandinsky {

absl::Status DeadlineStatus() { return absl::DeadlineExceededError("the deadline passed"); }

RequestWatcher::RequestWatcher(RequestRegistry& registry, Clock& clock, DelayEstimator estimate_delays)
    : registry_(registry),
      clock_(clock),
      estimate_delays_(std::move(estimate_delays)),
      thread_([this] { Run(); }) {}

RequestWatcher::~RequestWatcher() { thread_.join(); }

void RequestWatcher::Run() {
  pthread_setname_np(pthread_self(), "request-watcher");
  while (registry_.WaitForChange()) {
    for (const std::shared_ptr<LiveRequest>& request : registry_.Overdue(clock_.Now())) {
      registry_.End(request, RequestState::kExpired, DeadlineStatus());
    }
    const std::vector<std::shared_ptr<LiveRequest>> waiting = registry_.Waiting();
    if (!waiting.empty()) registry_.PostQueueStatus(waiting, estimate_delays_(waiting));
  }
}

}  // namespace kandinsky
