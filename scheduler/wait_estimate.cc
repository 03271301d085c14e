#include "scheduler/wait_estimate.h"

#include <functional>
#include <queue>

namespace kandinsky {

std::vector<absl::Duration> EstimateStartDelays(absl::Span<const absl::Duration> active,
                                                absl::Span<const std::vector<absl::Duration>> waiting,
                                                size_t capacity, int workers) {
  // Processor sharing in virtual time: `served` is the device time that each sample under way has had
  // since now, so one that needs w more when it starts ends when `served` has grown by w, and `served` grows
  // by one second in as many seconds as there are samples under way.
  std::priority_queue<absl::Duration, std::vector<absl::Duration>, std::greater<>> ends(active.begin(),
                                                                                        active.end());
  absl::Duration served;
  absl::Duration elapsed;
  const auto wait_for_slot = [&] {
    while (!ends.empty() && ends.size() >= capacity) {
      elapsed += (ends.top() - served) * static_cast<int64_t>(ends.size());
      served = ends.top();
      ends.pop();
    }
  };
  std::vector<absl::Duration> delays;
  delays.reserve(waiting.size());
  for (const std::vector<absl::Duration>& request : waiting) {
    wait_for_slot();
    delays.push_back(elapsed / workers);
    for (const absl::Duration work : request) {
      wait_for_slot();
      ends.push(served + work);
    }
  }
  return delays;
}

}  // namespace kandinsky
