#include "scheduler/request_registry.h"

#include <algorithm>

namespace kandinsky {
RefusalReason RequestRegistry::CheckLocked(const QueuedRequest& queued, AdmissionState& state,
                                           absl::Time deadline, std::optional<RequestNumber>& victim) {
  if (counts_.queued_requests >= options_.max_queued_requests) {
    victim = queue_.ShedFor(queued.client, queued.priority);
  }
  state.accepting = !counts_.draining;
  state.ready_workers = counts_.ready_workers;
  state.queued_requests = counts_.queued_requests;
  state.may_shed = victim.has_value();
  const RefusalReason refusal = CheckAdmission(options_, state, clock_.Now(), deadline);
  if (refusal != RefusalReason::kNone) ++counts_.rejected_total;
  return refusal;
}

RefusalReason RequestRegistry::Check(const QueuedRequest& queued, AdmissionState state, absl::Time deadline) {
  MutexLock lock(mutex_);
  std::optional<RequestNumber> victim;
  return CheckLocked(queued, state, deadline, victim);
}

RefusalReason RequestRegistry::Add(const std::shared_ptr<LiveRequest>& request, const QueuedRequest& queued,
                                   AdmissionState state) {
  std::shared_ptr<LiveRequest> shed;
  {
    MutexLock lock(mutex_);
    std::optional<RequestNumber> victim;
    const RefusalReason refusal = CheckLocked(queued, state, request->deadline(), victim);
    if (refusal != RefusalReason::kNone) return refusal;
    if (victim.has_value()) {
      shed = live_.at(*victim).request;
      EndLocked(shed, RequestState::kShed, absl::AbortedError("another request was given its place"));
    }
    const int position = static_cast<int>(queue_.Ahead(queued, clock_.Now()).size());
    request->channel().Enqueue(QueueStatus{.position = position, .estimated_wait = state.estimated_wait});
    live_.emplace(request->number(), Entry{.request = request,
                                           .told_position = position,
                                           .waiting_images = queued.images,
                                           .missing_images = queued.images});
    queue_.Push(queued);
    ++counts_.accepted_total;
    ++counts_.queued_requests;
    ++counts_.queued_by_priority[static_cast<size_t>(queued.priority)];
    AddDeadline(*request);
    // A request that is not the last of the order moves those behind it.
    if (position + 1 < static_cast<int>(queue_.requests())) QueueMoved();
    work_available_.NotifyAll();
  }
  if (shed != nullptr) Deliver(*shed);
  Deliver(*request);
  return RefusalReason::kNone;
}

std::vector<TakenImage> RequestRegistry::TakeLocked(size_t own, absl::Time& ready_at) {
  ready_at = absl::InfiniteFuture();
  if (queue_.images() == 0) return {};
  const absl::Time now = clock_.Now();
  const size_t share =
      ImagesToTake(options_, queue_.images(), active_images_, own, std::max(1, counts_.ready_workers));
  if (options_.batch_mode == BatchMode::kStrict) {
    if (own > 0) return {};
    return queue_.TakeBatch(
        {.max_rows = static_cast<size_t>(std::max(1, options_.max_batch_rows)),
         .preferred_rows = static_cast<size_t>(std::max(1, options_.preferred_batch_rows)),
         .delay = options_.batch_delay},
        now, ready_at);
  }
  const bool enough = queue_.images() >= static_cast<size_t>(std::max(1, options_.preferred_batch_rows));
  ready_at = queue_.oldest_arrival() + options_.batch_delay;
  if (own == 0 && !enough && now < ready_at) return {};
  return queue_.Take(share, now);
}

BegunImage RequestRegistry::BeginLocked(const TakenImage& image, const StartedInfo& info) {
  Entry& entry = live_.at(image.number);
  const std::shared_ptr<LiveRequest>& request = entry.request;
  --entry.waiting_images;
  ++active_images_;
  if (request->state() == RequestState::kQueued) {
    request->MoveTo(RequestState::kRunning);
    request->RecordStarted(clock_.Now());
    request->channel().Enqueue(info);
    --counts_.queued_requests;
    --counts_.queued_by_priority[static_cast<size_t>(request->priority())];
  }
  return {.request = request, .index = image.image_index};
}

std::vector<BegunImage> RequestRegistry::Begin(const StartedInfo& info, size_t own) {
  std::vector<BegunImage> begun;
  {
    MutexLock lock(mutex_);
    while (!closed_) {
      absl::Time ready_at;
      for (const TakenImage& image : TakeLocked(own, ready_at)) begun.push_back(BeginLocked(image, info));
      if (!begun.empty() && queue_.requests() > 0) QueueMoved();
      if (!begun.empty() || own > 0) break;
      clock_.WaitUntil(mutex_, work_available_, ready_at);
    }
  }
  for (const BegunImage& image : begun) Deliver(*image.request);
  return begun;
}

void RequestRegistry::Release(int images, int steps_saved) {
  MutexLock lock(mutex_);
  active_images_ -= static_cast<size_t>(images);
  counts_.steps_saved_total += steps_saved;
}

void RequestRegistry::EndLocked(const std::shared_ptr<LiveRequest>& request, RequestState end,
                                const absl::Status& status) {
  const bool begun = request->state() != RequestState::kQueued;
  const Entry& entry = live_.at(request->number());
  if (queue_.Remove(request->number()) && queue_.requests() > 0) QueueMoved();
  if (!begun) {
    --counts_.queued_requests;
    --counts_.queued_by_priority[static_cast<size_t>(request->priority())];
  }
  if (end == RequestState::kCancelled || end == RequestState::kExpired) {
    counts_.steps_saved_total += int64_t{entry.waiting_images} * request->plan()->TotalSteps();
  }
  request->MoveTo(end);
  deadlines_.erase({request->deadline(), request->number()});
  live_.erase(request->number());
  CountEnd(end, begun);
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

void RequestRegistry::AddDeadline(const LiveRequest& request) {
  if (request.deadline() == absl::InfiniteFuture()) return;
  const auto added = deadlines_.emplace(request.deadline(), request.number()).first;
  if (added == deadlines_.begin()) changed_.NotifyAll();
}

void RequestRegistry::EndIfOverdue(const std::shared_ptr<LiveRequest>& request) {
  {
    MutexLock lock(mutex_);
    // Looked at under the lock: the deadline may just have become a later one.
    if (request->ended() || request->deadline() > clock_.Now()) return;
    EndLocked(request, RequestState::kExpired, DeadlineStatus());
  }
  Deliver(*request);
}

bool RequestRegistry::ExtendDeadline(RequestNumber number, absl::Time deadline) {
  MutexLock lock(mutex_);
  const auto entry = live_.find(number);
  if (entry == live_.end()) return false;
  LiveRequest& request = *entry->second.request;
  if (deadline <= request.deadline()) return true;
  deadlines_.erase({request.deadline(), number});
  request.SetDeadline(deadline);
  AddDeadline(request);
  return true;
}

void RequestRegistry::CompleteImage(const std::shared_ptr<LiveRequest>& request, FinishedImage image) {
  {
    MutexLock lock(mutex_);
    if (request->ended()) return;
    request->channel().Enqueue(std::move(image));
    if (--live_.at(request->number()).missing_images == 0) {
      EndLocked(request, RequestState::kCompleted, absl::OkStatus());
    }
  }
  Deliver(*request);
}

void RequestRegistry::CountEnd(RequestState end, bool begun) {
  switch (end) {
    case RequestState::kCompleted:
      ++counts_.completed_total;
      break;
    case RequestState::kCancelled:
      ++(begun ? counts_.cancelled_running_total : counts_.cancelled_queued_total);
      break;
    case RequestState::kExpired:
      ++(begun ? counts_.expired_running_total : counts_.expired_queued_total);
      break;
    case RequestState::kRejected:
      ++counts_.rejected_total;
      break;
    case RequestState::kShed:
      ++counts_.shed_total;
      break;
    default:
      ++counts_.failed_total;
      break;
  }
}

void RequestRegistry::Post(LiveRequest& request, ObserverEvent event) {
  request.channel().Enqueue(std::move(event));
  Deliver(request);
}

void RequestRegistry::PostQueueStatus(const std::vector<WaitingRequest>& order,
                                      const std::vector<absl::Duration>& delays) {
  std::vector<LiveRequest*> told;
  {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < order.size(); ++i) {
      LiveRequest& request = *order[i].request;
      if (request.state() != RequestState::kQueued) continue;
      int& told_position = live_.at(request.number()).told_position;
      if (told_position == static_cast<int>(i)) continue;
      told_position = static_cast<int>(i);
      request.channel().Enqueue(QueueStatus{.position = told_position, .estimated_wait = delays[i]});
      told.push_back(&request);
    }
  }
  for (LiveRequest* request : told) Deliver(*request);
}

void RequestRegistry::Deliver(LiveRequest& request) {
  if (!request.channel().Deliver()) return;
  MutexLock lock(mutex_);
  --unfinished_calls_;
  if (live_.empty() && unfinished_calls_ == 0) idle_.NotifyAll();
}

void RequestRegistry::QueueMoved() {
  queue_moved_ = true;
  changed_.NotifyAll();
}

bool RequestRegistry::WaitForChange(absl::Time not_before) {
  MutexLock lock(mutex_);
  while (!closed_) {
    const absl::Time now = clock_.Now();
    const absl::Time next_deadline = deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.begin()->first;
    if (next_deadline <= now || (queue_moved_ && not_before <= now)) break;
    const absl::Time next_status = queue_moved_ ? not_before : absl::InfiniteFuture();
    clock_.WaitUntil(mutex_, changed_, std::min(next_deadline, next_status));
  }
  if (not_before <= clock_.Now()) queue_moved_ = false;
  return !closed_;
}

std::shared_ptr<LiveRequest> RequestRegistry::Find(RequestNumber number) const {
  MutexLock lock(mutex_);
  const auto entry = live_.find(number);
  return entry == live_.end() ? nullptr : entry->second.request;
}

std::vector<WaitingRequest> RequestRegistry::Resolve(const std::vector<RequestNumber>& numbers) const {
  std::vector<WaitingRequest> requests;
  requests.reserve(numbers.size());
  for (const RequestNumber number : numbers) {
    const Entry& entry = live_.at(number);
    requests.push_back({.request = entry.request, .images = entry.waiting_images});
  }
  return requests;
}

std::vector<WaitingRequest> RequestRegistry::Order() const {
  MutexLock lock(mutex_);
  return Resolve(queue_.Order(clock_.Now()));
}

std::vector<WaitingRequest> RequestRegistry::Ahead(const QueuedRequest& request) const {
  MutexLock lock(mutex_);
  return Resolve(queue_.Ahead(request, clock_.Now()));
}

std::vector<std::shared_ptr<LiveRequest>> RequestRegistry::Live() const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> requests;
  requests.reserve(live_.size());
  for (const auto& [number, entry] : live_) requests.push_back(entry.request);
  return requests;
}

std::vector<std::shared_ptr<LiveRequest>> RequestRegistry::Overdue(absl::Time now) const {
  MutexLock lock(mutex_);
  std::vector<std::shared_ptr<LiveRequest>> requests;
  for (const auto& [deadline, number] : deadlines_) {
    if (deadline > now) break;
    requests.push_back(live_.at(number).request);
  }
  return requests;
}

RequestRegistry::Counts RequestRegistry::counts() const {
  MutexLock lock(mutex_);
  Counts counts = counts_;
  counts.running_requests = live_.size() - counts.queued_requests;
  counts.active_generations = static_cast<int>(active_images_);
  const absl::Time oldest = queue_.oldest_arrival();
  if (oldest != absl::InfiniteFuture()) counts.oldest_wait = clock_.Now() - oldest;
  return counts;
}

int RequestRegistry::AddReadyWorkers(int change, bool restarted) {
  MutexLock lock(mutex_);
  counts_.ready_workers += change;
  counts_.worker_restarts_total += restarted ? 1 : 0;
  return counts_.ready_workers;
}

void RequestRegistry::StopAccepting() {
  MutexLock lock(mutex_);
  counts_.draining = true;
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

bool RequestRegistry::WaitUntilClosed(absl::Time deadline) {
  MutexLock lock(mutex_);
  while (!closed_ && clock_.Now() < deadline) clock_.WaitUntil(mutex_, changed_, deadline);
  return closed_;
}

}  // namespace kandinsky
