#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "scheduler/live_request.h"
#include "scheduler/observer_channel.h"

namespace kandinsky {

// All live requests: a bounded queue of the waiting ones and the set of the running ones. Every change of a
// request's state happens here, together with the event that tells its observer, so that states, counts and
// events agree. Observers are never called under the lock. Thread-safe.
class RequestRegistry {
 public:
  struct Counts {
    size_t queued = 0;
    size_t running = 0;
    bool accepting = true;
    int64_t completed = 0;
    int64_t cancelled = 0;
    int64_t expired = 0;
    int64_t rejected = 0;
    int64_t failed = 0;
  };

  RequestRegistry(size_t max_queued, Clock& clock) : max_queued_(max_queued), clock_(clock) {}

  // Queues a request. UNAVAILABLE after StopAccepting, ALREADY_EXISTS when a live one has its id,
  // RESOURCE_EXHAUSTED when the queue is full.
  absl::Status Add(const std::shared_ptr<LiveRequest>& request, absl::Duration estimated_wait)
      EXCLUDES(mutex_);

  // Starts the oldest waiting request if it has at most `room` images; null when there is none such.
  std::shared_ptr<LiveRequest> TryTake(const StartedInfo& info, size_t room) EXCLUDES(mutex_);

  // Blocks until a request waits and starts the oldest, whatever its size; null after Close.
  std::shared_ptr<LiveRequest> WaitAndTake(const StartedInfo& info) EXCLUDES(mutex_);

  // Ends a live request: `end` is an end, `status` goes to the observer. Returns false, and does nothing,
  // when it had ended before.
  bool End(const std::shared_ptr<LiveRequest>& request, RequestState end, const absl::Status& status)
      EXCLUDES(mutex_);

  // Delivers the last image and ends the request as completed, with nothing in between: a request that ends
  // otherwise never had all its images. Nothing happens when it had ended before.
  void Complete(const std::shared_ptr<LiveRequest>& request, FinishedImage last_image) EXCLUDES(mutex_);

  // Tells the observer of a running request; nothing happens when it has ended.
  void Post(LiveRequest& request, ObserverEvent event) EXCLUDES(mutex_);

  // Tells waiting requests their place and the delay given for it, if their place has changed. `waiting`
  // comes from Waiting(); those that wait no more are skipped.
  void PostQueueStatus(const std::vector<std::shared_ptr<LiveRequest>>& waiting,
                       const std::vector<absl::Duration>& delays) EXCLUDES(mutex_);

  // Blocks until a deadline has passed or the queue has moved. False after Close.
  bool WaitForChange() EXCLUDES(mutex_);

  std::shared_ptr<LiveRequest> Find(const std::string& id) const EXCLUDES(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> Waiting() const EXCLUDES(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> Live() const EXCLUDES(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> Overdue(absl::Time now) const EXCLUDES(mutex_);
  Counts counts() const EXCLUDES(mutex_);

  void StopAccepting() EXCLUDES(mutex_);
  // Blocks until no request is live and every OnFinished has returned, or until `deadline`.
  void WaitUntilIdle(absl::Time deadline) EXCLUDES(mutex_);
  // Ends the waits of workers and of WaitForChange for good.
  void Close() EXCLUDES(mutex_);

 private:
  struct Entry {
    std::shared_ptr<LiveRequest> request;
    int told_position = 0;
  };

  std::shared_ptr<LiveRequest> TakeLocked(const StartedInfo& info) REQUIRES(mutex_);
  void EndLocked(const std::shared_ptr<LiveRequest>& request, RequestState end, const absl::Status& status)
      REQUIRES(mutex_);
  void CountEnd(RequestState end) REQUIRES(mutex_);
  void Deliver(LiveRequest& request) EXCLUDES(mutex_);

  const size_t max_queued_;
  Clock& clock_;

  // Lock order: mutex_ before the locks inside a LiveRequest.
  mutable Mutex mutex_;
  ConditionVariable work_available_;
  ConditionVariable changed_;
  ConditionVariable idle_;
  // live_ holds exactly the requests whose state is no end; waiting_ those in kQueued, oldest first;
  // deadlines_ those with a finite deadline.
  absl::flat_hash_map<std::string, Entry> live_ GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<LiveRequest>> waiting_ GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, LiveRequest*>> deadlines_ GUARDED_BY(mutex_);
  size_t unfinished_calls_ GUARDED_BY(mutex_) = 0;  // ended requests whose OnFinished has not returned
  bool queue_moved_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  Counts counts_ GUARDED_BY(mutex_);  // without queued and running
};

}  // namespace kandinsky
