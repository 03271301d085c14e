#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "scheduler/admission.h"
#include "scheduler/engine_snapshot.h"
#include "scheduler/live_request.h"
#include "scheduler/observer_channel.h"
#include "scheduler/request_queue.h"

namespace kandinsky {

// One image that a worker begins.
struct BegunImage {
  std::shared_ptr<LiveRequest> request;
  int index = 0;
};

// A request of which something waits.
struct WaitingRequest {
  std::shared_ptr<LiveRequest> request;
  int images = 0;  // that wait
};

// All live requests: a bounded queue of what waits and the set of what runs. Every change of a request's
// state happens here, together with the event that tells its observer, so that states, counts and events
// agree. Observers are never called under the lock. Thread-safe.
class RequestRegistry {
 public:
  // The counters and gauges of EngineSnapshot that are known here.
  using Counts = EngineSnapshot;

  RequestRegistry(const EngineOptions& options, Clock& clock)
      : options_(options), clock_(clock), queue_(options.priority_ageing) {}

  // Queues a request, or says why not; `state` needs only its estimates. A request that has to give its place
  // ends as kShed.
  RefusalReason Add(const std::shared_ptr<LiveRequest>& request, const QueuedRequest& queued,
                    AdmissionState state) EXCLUDES(mutex_);

  // What Add would say of such a request, without a change but that a refusal is counted.
  RefusalReason Check(const QueuedRequest& queued, AdmissionState state, absl::Time deadline)
      EXCLUDES(mutex_);

  // Begins waiting images for a worker that has `own` under way. Blocks, when it has none, until there is one
  // to begin; empty then only after Close.
  std::vector<BegunImage> Begin(const StartedInfo& info, size_t own) EXCLUDES(mutex_);

  // A worker has let go of `images` that it had begun; `steps_saved` of their steps were not needed any more.
  void Release(int images, int steps_saved) EXCLUDES(mutex_);

  // Ends a live request: `end` is an end, `status` goes to the observer. Returns false, and does nothing,
  // when it had ended before.
  bool End(const std::shared_ptr<LiveRequest>& request, RequestState end, const absl::Status& status)
      EXCLUDES(mutex_);

  // Ends a live request as expired if its deadline has passed.
  void EndIfOverdue(const std::shared_ptr<LiveRequest>& request) EXCLUDES(mutex_);

  // Gives a live request a later deadline; an earlier one changes nothing. False when the request has ended.
  bool ExtendDeadline(RequestNumber number, absl::Time deadline) EXCLUDES(mutex_);

  // Delivers an image; with the last missing one the request ends as completed, with nothing in between: a
  // request that ends otherwise never had all its images. Nothing happens when it had ended before.
  void CompleteImage(const std::shared_ptr<LiveRequest>& request, FinishedImage image) EXCLUDES(mutex_);

  // Tells the observer of a running request; nothing happens when it has ended.
  void Post(LiveRequest& request, ObserverEvent event) EXCLUDES(mutex_);

  // Tells waiting requests their place in `order` and the delay given for it, if their place has changed.
  void PostQueueStatus(const std::vector<WaitingRequest>& order, const std::vector<absl::Duration>& delays)
      EXCLUDES(mutex_);

  // Blocks until a deadline has passed, or the queue has moved and it is `not_before`. False after Close.
  bool WaitForChange(absl::Time not_before) EXCLUDES(mutex_);

  std::shared_ptr<LiveRequest> Find(RequestNumber number) const EXCLUDES(mutex_);
  std::vector<WaitingRequest> Order() const EXCLUDES(mutex_);  // of service
  // What would be served before `request` if it came now.
  std::vector<WaitingRequest> Ahead(const QueuedRequest& request) const EXCLUDES(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> Live() const EXCLUDES(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> Overdue(absl::Time now) const EXCLUDES(mutex_);
  Counts counts() const EXCLUDES(mutex_);

  // Changes the number of workers with a pipeline, and returns it; `restarted` counts a restart.
  int AddReadyWorkers(int change, bool restarted) EXCLUDES(mutex_);

  void StopAccepting() EXCLUDES(mutex_);
  // Blocks until no request is live and every OnFinished has returned, or until `deadline`.
  void WaitUntilIdle(absl::Time deadline) EXCLUDES(mutex_);
  // Ends the waits of workers and of WaitForChange for good.
  void Close() EXCLUDES(mutex_);
  // Blocks until Close, at most until `deadline`; whether it was closed.
  bool WaitUntilClosed(absl::Time deadline) EXCLUDES(mutex_);

 private:
  struct Entry {
    std::shared_ptr<LiveRequest> request;
    int told_position = 0;
    int waiting_images = 0;
    int missing_images = 0;  // not delivered
  };

  // `victim`: the request that would give its place.
  RefusalReason CheckLocked(const QueuedRequest& queued, AdmissionState& state, absl::Time deadline,
                            std::optional<RequestNumber>& victim) REQUIRES(mutex_);
  std::vector<TakenImage> TakeLocked(size_t own, absl::Time& ready_at) REQUIRES(mutex_);
  BegunImage BeginLocked(const TakenImage& image, const StartedInfo& info) REQUIRES(mutex_);
  void EndLocked(const std::shared_ptr<LiveRequest>& request, RequestState end, const absl::Status& status)
      REQUIRES(mutex_);
  void AddDeadline(const LiveRequest& request) REQUIRES(mutex_);
  void CountEnd(RequestState end, bool begun) REQUIRES(mutex_);
  void QueueMoved() REQUIRES(mutex_);
  std::vector<WaitingRequest> Resolve(const std::vector<RequestNumber>& numbers) const REQUIRES(mutex_);
  void Deliver(LiveRequest& request) EXCLUDES(mutex_);

  const EngineOptions& options_;
  Clock& clock_;

  // Lock order: mutex_ before the locks inside a LiveRequest.
  mutable Mutex mutex_;
  ConditionVariable work_available_;
  ConditionVariable changed_;
  ConditionVariable idle_;
  // live_ holds exactly the requests whose state is no end; queue_ what waits of them; deadlines_ those with
  // a finite deadline.
  absl::flat_hash_map<RequestNumber, Entry> live_ GUARDED_BY(mutex_);
  RequestQueue queue_ GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, RequestNumber>> deadlines_ GUARDED_BY(mutex_);
  size_t active_images_ GUARDED_BY(mutex_) = 0;     // begun and not released, over all workers
  size_t unfinished_calls_ GUARDED_BY(mutex_) = 0;  // ended requests whose OnFinished has not returned
  bool queue_moved_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  Counts counts_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
