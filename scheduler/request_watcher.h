#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "scheduler/request_registry.h"

namespace kandinsky {

// A thread that ends requests when their deadline passes, whatever the workers are doing, and tells waiting
// requests when the queue has moved.
class RequestWatcher {
 public:
  using DelayEstimator =
      std::function<std::vector<absl::Duration>(const std::vector<WaitingRequest>& waiting)>;

  // `estimate_delays` gives the time to the start of each waiting request; it is called on the watcher's
  // thread. Between two rounds of telling lies at least `status_interval`: a long queue that moves fast would
  // otherwise cost more than the work.
  RequestWatcher(RequestRegistry& registry, Clock& clock, absl::Duration status_interval,
                 DelayEstimator estimate_delays);

  // Joins the thread; the registry must be closed.
  ~RequestWatcher();

  RequestWatcher(const RequestWatcher&) = delete;
  RequestWatcher& operator=(const RequestWatcher&) = delete;

 private:
  void Run();

  RequestRegistry& registry_;
  Clock& clock_;
  const absl::Duration status_interval_;
  const DelayEstimator estimate_delays_;
  std::thread thread_;
};

}  // namespace kandinsky
