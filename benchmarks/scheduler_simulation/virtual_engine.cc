#include "benchmarks/scheduler_simulation/virtual_engine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "scheduler/wait_estimate.h"

namespace kandinsky {
namespace {}  // namespace

double SimulationResult::Percentile(double share) const {
  if (latencies_s.empty()) return 0;
  const size_t index = static_cast<size_t>(share * static_cast<double>(latencies_s.size()));
  return latencies_s[std::min(index, latencies_s.size() - 1)];
}

VirtualEngine::VirtualEngine(const EngineOptions& options, const SimulatedStepTimes& times,
                             std::vector<RequestKind> kinds)
    : options_(options),
      times_(times),
      kinds_(std::move(kinds)),
      queue_(options.priority_ageing),
      row_caps_(options.probe_after_steps) {
  limits_.max_rows = options.max_batch_rows;
  limits_.max_latent_pixels = options.max_batch_latent_pixels;
  limits_.max_times_passed_over = options.max_times_passed_over;
  result_.worst_latency_by_kind_s.resize(kinds_.size());
}

const RequestKind& VirtualEngine::KindOf(size_t job) const {
  return kinds_[static_cast<size_t>((*arrivals_)[job].kind)];
}

SimulationResult VirtualEngine::Run(const std::vector<Arrival>& arrivals) {
  arrivals_ = &arrivals;
  jobs_.resize(arrivals.size());
  now_ = arrivals.front().time;
  while (true) {
    SubmitUntil(now_);
    ExpireActive();
    absl::Time ready_at;
    Begin(ready_at);
    if (!active_.empty()) {
      Step();
      continue;
    }
    const absl::Time next =
        next_arrival_ < arrivals.size() ? arrivals[next_arrival_].time : absl::InfiniteFuture();
    const absl::Time wake = std::min(next, ready_at);
    if (wake == absl::InfiniteFuture()) break;
    now_ = std::max(now_, wake);
  }
  result_.makespan = now_ - arrivals.front().time;
  std::sort(result_.latencies_s.begin(), result_.latencies_s.end());
  return std::move(result_);
}

void VirtualEngine::SubmitUntil(absl::Time time) {
  while (next_arrival_ < arrivals_->size() && (*arrivals_)[next_arrival_].time <= time) {
    const absl::Time step_end = now_;
    now_ = (*arrivals_)[next_arrival_].time;
    Submit(next_arrival_++);
    now_ = step_end;
  }
  ExpireWaiting();
}

void VirtualEngine::Submit(size_t job) {
  ExpireWaiting();
  const Arrival& arrival = (*arrivals_)[job];
  const RequestKind& kind = KindOf(job);
  const size_t client = static_cast<size_t>(arrival.client);
  while (client_names_.size() <= client) client_names_.push_back(absl::StrCat("c", client_names_.size()));
  result_.completed_by_client.resize(client_names_.size());
  jobs_[job].cost = std::max(step_times_.DeviceTime(RemainingWork(kind.plan)), absl::Microseconds(1));
  const QueuedRequest queued = {.number = job,
                                .client = client_names_[client],
                                .priority = arrival.priority,
                                .arrival = now_,
                                .images = 1,
                                .image_cost = jobs_[job].cost,
                                .key = StrictBatchKeyOf(kind.request, *kind.plan)};
  const bool full = queue_.requests() >= options_.max_queued_requests;
  const std::optional<RequestNumber> victim =
      full ? queue_.ShedFor(queued.client, queued.priority) : std::nullopt;
  AdmissionState state = {.queued_requests = queue_.requests(), .may_shed = victim.has_value()};
  if ((!full || victim.has_value()) && arrival.deadline != absl::InfiniteFuture()) {
    Estimate(queued, arrival, state);
  }
  const RefusalReason refusal = CheckAdmission(options_, state, now_, arrival.deadline);
  if (refusal == RefusalReason::kQueueFull || refusal == RefusalReason::kQueueTooLong) {
    ++result_.refused_queue;
  } else if (refusal != RefusalReason::kNone) {
    ++result_.refused_deadline;
  }
  if (refusal != RefusalReason::kNone) return;
  if (victim.has_value()) {
    queue_.Remove(*victim);
    jobs_[*victim].waiting = false;
    ++result_.shed;
  }
  jobs_[job].waiting = true;
  queue_.Push(queued);
  if (arrival.deadline != absl::InfiniteFuture()) expiries_.emplace(arrival.deadline, job);
}

// As the engine does it.
void VirtualEngine::Estimate(const QueuedRequest& request, const Arrival& arrival, AdmissionState& state) {
  const absl::Time urgency = UrgencyOf(arrival.time, arrival.deadline, arrival.priority);
  absl::Duration total = request.image_cost;
  std::vector<absl::Duration> active;
  for (size_t i = 0; i < active_.size(); ++i) {
    active.push_back(
        step_times_.DeviceTime({KindOf(active_[i]).plan, jobs_[active_[i]].cursor->remaining_steps()}));
    if (candidates_[i].urgency <= urgency) total += active.back();
  }
  std::vector<std::vector<absl::Duration>> waiting;
  for (const RequestNumber ahead : queue_.Ahead(request, now_)) {
    waiting.push_back({jobs_[ahead].cost});
    total += jobs_[ahead].cost;
  }
  waiting.push_back({absl::ZeroDuration()});
  const size_t capacity = static_cast<size_t>(options_.max_active_generations);
  state.estimated_wait = EstimateStartDelays(active, waiting, capacity, /*workers=*/1).back();
  const RemainingWork work(kinds_[static_cast<size_t>(arrival.kind)].plan);
  state.estimated_work = LikelyWork({.alone = step_times_.LeastTime(work),
                                     .shared = step_times_.ElapsedTime(work),
                                     .ahead = total,
                                     .wait = state.estimated_wait},
                                    /*idle=*/active.empty());
}

void VirtualEngine::ExpireWaiting() {
  while (!expiries_.empty() && expiries_.top().first <= now_) {
    const size_t job = expiries_.top().second;
    expiries_.pop();
    if (!jobs_[job].waiting) continue;
    queue_.Remove(job);
    jobs_[job].waiting = false;
    ++result_.expired;
  }
}

void VirtualEngine::ExpireActive() {
  for (size_t i = active_.size(); i-- > 0;) {
    if (candidates_[i].deadline > now_) continue;
    DropActive(i);
    ++result_.expired;
  }
}

void VirtualEngine::DropActive(size_t index) {
  active_.erase(active_.begin() + static_cast<ptrdiff_t>(index));
  candidates_.erase(candidates_.begin() + static_cast<ptrdiff_t>(index));
}

void VirtualEngine::Begin(absl::Time& ready_at) {
  ready_at = absl::InfiniteFuture();
  std::vector<TakenImage> taken;
  if (options_.batch_mode == BatchMode::kStrict) {
    if (!active_.empty()) return;
    taken = queue_.TakeBatch({.max_rows = static_cast<size_t>(options_.max_batch_rows),
                              .preferred_rows = static_cast<size_t>(options_.preferred_batch_rows),
                              .delay = options_.batch_delay},
                             now_, ready_at);
  } else {
    const size_t room =
        ImagesToTake(options_, queue_.images(), active_.size(), active_.size(), /*workers=*/1);
    taken = queue_.Take(room, now_);
  }
  for (const TakenImage& image : taken) {
    const size_t job = image.number;
    const Arrival& arrival = (*arrivals_)[job];
    jobs_[job].waiting = false;
    const PlanCursor& cursor = jobs_[job].cursor.emplace(KindOf(job).plan);
    candidates_.push_back({.key = cursor.key(),
                           .cost = cursor.cost(),
                           .urgency = UrgencyOf(arrival.time, arrival.deadline, arrival.priority),
                           .deadline = arrival.deadline});
    active_.push_back(job);
  }
}

void VirtualEngine::Step() {
  const BatchPlan plan = PlanBatch(candidates_, limits_, row_caps_, now_);
  const int rows = static_cast<int>(plan.members.size());
  const BatchKey key = candidates_[plan.members.front()].key;
  const absl::Duration duration = SimulatedStepTime(times_, key, rows);
  result_.busy += duration;
  ++result_.steps;
  result_.rows += rows;
  now_ += duration;
  SubmitUntil(now_);
  row_caps_.RecordSuccess(key, rows);
  step_times_.Record(key, rows, duration);
  for (BatchCandidate& candidate : candidates_) ++candidate.times_passed_over;
  std::vector<size_t> members = plan.members;
  std::sort(members.rbegin(), members.rend());  // from the last, since completed ones are dropped
  for (const size_t index : members) Advance(index);
}

void VirtualEngine::Advance(size_t index) {
  const size_t job = active_[index];
  PlanCursor& cursor = *jobs_[job].cursor;
  BatchCandidate& candidate = candidates_[index];
  candidate.times_passed_over = 0;
  cursor.Advance();
  if (cursor.stage() != Stage::kDone) {
    candidate.key = cursor.key();
    candidate.cost = cursor.cost();
    return;
  }
  const bool late = candidate.deadline <= now_;
  DropActive(index);
  if (late) {
    ++result_.expired;
  } else {
    Complete(job);
  }
}

void VirtualEngine::Complete(size_t job) {
  const Arrival& arrival = (*arrivals_)[job];
  const double latency = absl::ToDoubleSeconds(now_ - arrival.time);
  result_.latencies_s.push_back(latency);
  ++result_.completed_by_client[static_cast<size_t>(arrival.client)];
  double& worst = result_.worst_latency_by_kind_s[static_cast<size_t>(arrival.kind)];
  worst = std::max(worst, latency);
}

}  // namespace kandinsky
