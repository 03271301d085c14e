#include "scheduler/observer_channel.h"

#include <utility>

namespace kandinsky {
namespace {

struct Dispatch {
  GenerationObserver& observer;

  void operator()(QueueStatus& status) const { observer.OnQueued(status); }
  void operator()(StartedInfo& info) const { observer.OnStarted(info); }
  void operator()(ProgressUpdate& update) const { observer.OnProgress(update); }
  void operator()(PreviewImage& preview) const { observer.OnPreview(std::move(preview)); }
  void operator()(FinishedImage& image) const { observer.OnImage(std::move(image)); }
  void operator()(FinishedEvent& end) const { observer.OnFinished(end.status, end.statistics); }
};

}  // namespace

void ObserverChannel::Enqueue(ObserverEvent event) {
  MutexLock lock(mutex_);
  if (closed_) return;
  closed_ = std::holds_alternative<FinishedEvent>(event);
  events_.push_back(std::move(event));
}

bool ObserverChannel::Deliver() {
  {
    MutexLock lock(mutex_);
    if (delivering_) return false;
    delivering_ = true;
  }
  while (true) {
    std::deque<ObserverEvent> events;
    {
      MutexLock lock(mutex_);
      if (events_.empty()) {
        delivering_ = false;
        return false;
      }
      events.swap(events_);
    }
    for (ObserverEvent& event : events) std::visit(Dispatch{*observer_}, event);
    if (std::holds_alternative<FinishedEvent>(events.back())) {
      // `delivering_` stays set: nothing can follow.
      observer_.reset();
      return true;
    }
  }
}

}  // namespace kandinsky
