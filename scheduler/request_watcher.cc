#include "scheduler/request_watcher.h"

#include <pthread.h>

#include <utility>

namespace kandinsky {

RequestWatcher::RequestWatcher(RequestRegistry& registry, Clock& clock, absl::Duration status_interval,
                               DelayEstimator estimate_delays)
    : registry_(registry),
      clock_(clock),
      status_interval_(status_interval),
      estimate_delays_(std::move(estimate_delays)),
      thread_([this] { Run(); }) {}

RequestWatcher::~RequestWatcher() { thread_.join(); }

void RequestWatcher::Run() {
  pthread_setname_np(pthread_self(), "request-watcher");
  absl::Time next_status = absl::InfinitePast();
  while (registry_.WaitForChange(next_status)) {
    const absl::Time now = clock_.Now();
    for (const std::shared_ptr<LiveRequest>& request : registry_.Overdue(now)) {
      registry_.EndIfOverdue(request);
    }
    if (now < next_status) continue;
    next_status = now + status_interval_;
    const std::vector<WaitingRequest> waiting = registry_.Order();
    if (!waiting.empty()) registry_.PostQueueStatus(waiting, estimate_delays_(waiting));
  }
}

}  // namespace kandinsky
