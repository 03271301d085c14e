#include "scheduler/request_registry.h"

#include <algorithm>

namespace kandinsky {

absl::Status RequestRegistry::Add(const std::shared_ptr<LiveRequest>& request,
                                  absl::Duration estimated_wait) {
  {
    MutexLock lock(mutex_);
    absl::Status refusal;
    if (!counts_.accepting) {
      refusal = absl::UnavailableError("the server is shutting down");
    } else if (live_.contains(request->id())) {
      refusal = absl::AlreadyExistsError("a live request has this id");
    } else if (waiting_.size() >= max_queued_) {
      refusal = absl::ResourceExhaustedError("the request queue is full");
    }
    if (!refusal.ok()) {
      ++counts_.rejected;
      return refusal;
    }
    const int position = static_cast<int>(waiting_.size());
    request->channel().Enqueue(QueueStatus{.position = position, .estimated_wait = estimated_wait});
    live_.emplace(request->id(), Entry{.request = request, .told_position = position});
    waiting_.push_back(request);
    if (request->deadline() != absl::InfiniteFuture()) {
      const auto added = deadlines_.emplace(request->deadline(), request.get()).first;
      if (added == deadlines_.begin()) changed_.NotifyAll();
    }
    work_available_.NotifyOne();
  }
  Deliver(*request);
  return absl::OkStatus();
}

std::shared_ptr<LiveRequest> RequestRegistry::TakeLocked(const StartedInfo& info) {
  std::shared_ptr<LiveRequest> request = std::move(waiting_.front());
  waiting_.pop_front();
  request->MoveTo(RequestState::kRunning);
  request->RecordStarted(clock_.Now());
  request->channel().Enqueue(info);
  if (!waiting_.empty()) {
    queue_moved_ = true;
    changed_.NotifyAll();
  }
  return request;
}

std::shared_ptr<LiveRequest> RequestRegistry::TryTake(const StartedInfo& info, size_t room) {
  std::shared_ptr<LiveRequest> request;
  {
    MutexLock lock(mutex_);
    if (waiting_.empty() || waiting_.front()->images().size() > room) return nullptr;
    request = TakeLocked(info);
  }
  Deliver(*request);
  return request;
}

std::shared_ptr<LiveRequest> RequestRegistry::WaitAndTake(const StartedInfo& info) {
  std::shared_ptr<LiveRequest> request;
  {
    MutexLock lock(mutex_);
    while (waiting_.empty() && !closed_) work_available_.Wait(mutex_);
    if (closed_) return nullptr;
    request = TakeLocked(info);
  }
  Deliver(*request);
  return request;
}

void RequestRegistry::EndLocked(const std::shared_ptr<LiveRequest>& request, RequestState end,
                                const absl::Status& status) {
  if (request->state() == RequestState::kQueued) {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), request));
    if (!waiting_.empty()) {
      queue_moved_ = true;
      changed_.NotifyAll();
    }
  }
  request->MoveTo(end);
  deadlines_.erase({request->deadline(), request.get()});
  live_.erase(request->id());
  CountEnd(end);
  ++unfinished_calls_;
  request->channel().Enqueue(FinishedEvent{status, request->Statistics(clock_.Now())});
}

bool RequestRegistry::End(const std::shared_ptr<LiveRequest>& request, RequestState end,
                          const absl::Status& status) {
  {
    MutexLock lock(mutex_);
    if (request->ended()) return false;
    EndLocked(request, end, status);
  }
  Deliver(*request);
  return true;
}

void RequestRegistry::Complete(const std::shared_ptr<LiveRequest>& request, FinishedImage last_image) {
  {
    MutexLock lock(mutex_);
    if (request->ended()) return;
    request->channel().Enqueue(std::move(last_image));
    EndLocked(request, RequestState::kCompleted, absl::OkStatus());
  }
  Deliver(*request);
}

void RequestRegistry::CountEnd(RequestState end) {
  switch (end) {
    case RequestState::kCompleted:
      ++counts_.completed;
      break;
    case RequestState::kCancelled:
      ++counts_.cancelled;
      break;
    case RequestState::kExpired:
      ++counts_.expired;
      break;
    case RequestState::kRejected:
      ++counts_.rejected;
      break;
    default:
      ++counts_.failed;
      break;
  }
}

void RequestRegistry::Post(LiveRequest& request, ObserverEvent event) {
  request.channel().Enqueue(std::move(event));
  Deliver(request);
}

void RequestRegistry::PostQueueStatus(const std::vector<std::shared_ptr<LiveRequest>>& waiting,
                                      const std::vector<absl::Duration>& delays) {
  {
    MutexLock lock(mutex_);
    // The queue only loses members and grows at its end, so it holds `waiting`, less some, in the same order.
    size_t position = 0;
    for (size_t i = 0; i < waiting.size() && position < waiting_.size(); ++i) {
      if (waiting_[position] != waiting[i]) continue;
      int& told_position = live_.at(waiting[i]->id()).told_position;
      if (told_position != static_cast<int>(position)) {
        told_position = static_cast<int>(position);
        waiting[i]->channel().Enqueue(QueueStatus{.position = told_position, .estimated_wait = delays[i]});
      }
      ++position;
    }
  }
  for (const std::shared_ptr<LiveRequest>& request : waiting) Deliver(*request);
}

void RequestRegistry::Deliver(LiveRequest& request) {
  if (!request.channel().Deliver()) return;
  MutexLock lock(mutex_);
  --unfinished_calls_;
  if (live_.empty() && unfinished_calls_ == 0) idle_.NotifyAll();
}

bool RequestRegistry::WaitForChange() {
  MutexLock lock(mutex_);
  while (!closed_ && !queue_moved_) {
    const absl::Time next = deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
    if (next <= clock_.Now()) break;
    clock_.WaitUntil(mutex_, changed_, next);
  }
  queue_moved_ = false;
  return !closed_;
}

std::shared_ptr<LiveRequest> RequestRegistry::Find(const std::string& id) const {
  MutexLock lock(mutex_);
  const auto entry = live_.find(id);
  return entry == live_.end() ? nullptr : entry->second.request;
}

std::vector<std::shared_ptr<LiveRequest>> RequestRegistry::Waiting() const {
  MutexLock lock(mutex_);
  return {waiting_.begin(), waiting_.end()};
}

std::vector<std::shared_ptr<LiveRequest>> RequestRegistry::Live() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> requests;
  for (const auto& [id, entry] : live_) requests.push_back(entry.request);
  return requests;
}

std::vector<std::shared_ptr<LiveRequest>> RequestRegistry::Overdue(absl::Time now) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> requests;
  for (const auto& [deadline, request] : deadlines_) {
    if (deadline > now) break;
    requests.push_back(live_.at(request->id()).request);
  }
  return requests;
}

RequestRegistry::Counts RequestRegistry::counts() const {
  MutexLock lock(mutex_);
  Counts counts = counts_;
  counts.queued = waiting_.size();
  counts.running = live_.size() - waiting_.size();
  return counts;
}

void RequestRegistry::StopAccepting() {
  MutexLock lock(mutex_);
  counts_.accepting = false;
}

void RequestRegistry::WaitUntilIdle(absl::Time deadline) {
  MutexLock lock(mutex_);
  while ((!live_.empty() || unfinished_calls_ > 0) && clock_.Now() < deadline) {
    clock_.WaitUntil(mutex_, idle_, deadline);
  }
}

void RequestRegistry::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  work_available_.NotifyAll();
  changed_.NotifyAll();
}

}  // namespace kandinsky
