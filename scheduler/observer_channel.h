#pragma once

#include <deque>
#include <memory>
#include <variant>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "scheduler/generation_observer.h"

namespace kandinsky {

// The last event of a request.
struct FinishedEvent {
  absl::Status status;
  GenerationStatistics statistics;
};

using ObserverEvent =
    std::variant<QueueStatus, StartedInfo, ProgressUpdate, PreviewImage, FinishedImage, FinishedEvent>;

// Brings events of several threads to one observer, one at a time and in the order in which they were
// enqueued, without holding a lock during a call: a thread that finds another one delivering leaves its
// events to it. Thread-safe.
class ObserverChannel {
 public:
  explicit ObserverChannel(std::shared_ptr<GenerationObserver> observer) : observer_(std::move(observer)) {}

  // Appends without calling the observer, so it may be called under a lock. Events after a FinishedEvent are
  // dropped. Every Enqueue must be followed by a Deliver.
  void Enqueue(ObserverEvent event) EXCLUDES(mutex_);

  // Calls the observer with what was enqueued, unless another thread is doing so: that one then delivers all
  // of it. Returns true to the one caller that delivered the FinishedEvent; the observer is released by then.
  bool Deliver() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::deque<ObserverEvent> events_ GUARDED_BY(mutex_);
  bool delivering_ GUARDED_BY(mutex_) = false;
  bool closed_ GUARDED_BY(mutex_) = false;
  // Used only by the delivering thread; the hand-over under `mutex_` orders them.
  std::shared_ptr<GenerationObserver> observer_;
};

}  // namespace kandinsky
