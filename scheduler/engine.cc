#include "scheduler/engine.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "scheduler/request_registry.h"
#include "scheduler/request_watcher.h"
#include "scheduler/step_time_model.h"
#include "scheduler/wait_estimate.h"
#include "scheduler/worker.h"

namespace kandinsky {

class Engine::Impl {
 public:
  Impl(const EngineOptions& options, std::vector<PipelineFactory> factories, Clock& clock,
       std::function<void(const StepRecord&)> on_step);
  ~Impl();

  absl::Status WaitUntilReady() EXCLUDES(ready_mutex_);
  const Capabilities& capabilities() const;
  absl::Status Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer);
  absl::Status Cancel(const std::string& id);
  int Drain(absl::Time deadline);
  absl::Duration EstimateWait() const;
  EngineSnapshot snapshot() const;

 private:
  void OnWorkerReady(const absl::StatusOr<Capabilities>& capabilities) EXCLUDES(ready_mutex_);
  std::vector<absl::Duration> EstimateDelays(std::vector<std::vector<absl::Duration>> waiting) const;
  std::vector<absl::Duration> DeviceTimes(const LiveRequest& request) const;
  std::vector<absl::Duration> DelaysOf(const std::vector<std::shared_ptr<LiveRequest>>& waiting) const;
  int CancelAll();

  const EngineOptions options_;
  const size_t worker_count_;
  Clock& clock_;
  const std::function<void(const StepRecord&)> on_step_;
  RequestRegistry registry_;
  StepTimeModel step_times_;

  Mutex ready_mutex_;
  ConditionVariable worker_reported_;
  size_t reported_workers_ GUARDED_BY(ready_mutex_) = 0;
  absl::Status first_error_ GUARDED_BY(ready_mutex_);
  std::optional<Capabilities> capabilities_;  // set once, under ready_mutex_, before WaitUntilReady returns
  std::atomic<int> ready_workers_ = 0;

  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<RequestWatcher> watcher_;  // after workers_: it reads their backlogs
};

Engine::Impl::Impl(const EngineOptions& options, std::vector<PipelineFactory> factories, Clock& clock,
                   std::function<void(const StepRecord&)> on_step)
    : options_(options),
      worker_count_(factories.size()),
      clock_(clock),
      on_step_(std::move(on_step)),
      registry_(std::max<size_t>(1, options.max_queued_requests), clock) {
  const WorkerContext context = {registry_, step_times_, clock_, options_, on_step_};
  for (PipelineFactory& factory : factories) {
    workers_.push_back(std::make_unique<Worker>(
        absl::StrCat("worker-", workers_.size()), std::move(factory), context,
        [this](const absl::StatusOr<Capabilities>& capabilities) { OnWorkerReady(capabilities); }));
  }
  watcher_.emplace(registry_, clock_, [this](const auto& waiting) { return DelaysOf(waiting); });
}

Engine::Impl::~Impl() {
  registry_.StopAccepting();
  CancelAll();
  registry_.Close();
  watcher_.reset();
  workers_.clear();
}

void Engine::Impl::OnWorkerReady(const absl::StatusOr<Capabilities>& capabilities) {
  MutexLock lock(ready_mutex_);
  if (capabilities.ok()) {
    if (!capabilities_) capabilities_ = *capabilities;
    ++ready_workers_;
  } else {
    first_error_.Update(capabilities.status());
  }
  ++reported_workers_;
  worker_reported_.NotifyAll();
}

absl::Status Engine::Impl::WaitUntilReady() {
  if (worker_count_ == 0) return absl::FailedPreconditionError("the engine has no worker");
  MutexLock lock(ready_mutex_);
  while (reported_workers_ < worker_count_) worker_reported_.Wait(ready_mutex_);
  return first_error_;
}

const Capabilities& Engine::Impl::capabilities() const { return *capabilities_; }

absl::Status Engine::Impl::Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer) {
  if (request.images.empty() || observer == nullptr) {
    return absl::InvalidArgumentError("a request needs an image and an observer");
  }
  if (ready_workers_ == 0) return absl::UnavailableError("no worker is ready");
  const absl::Time now = clock_.Now();
  if (request.deadline <= now) return DeadlineStatus();
  auto live = std::make_shared<LiveRequest>(std::move(request), std::move(observer), now);
  return registry_.Add(live, EstimateWait());
}

absl::Status Engine::Impl::Cancel(const std::string& id) {
  const std::shared_ptr<LiveRequest> request = registry_.Find(id);
  if (request == nullptr) return absl::NotFoundError("no live request has this id");
  // A request that ended since is as good as cancelled.
  registry_.End(request, RequestState::kCancelled, absl::CancelledError("the request was cancelled"));
  return absl::OkStatus();
}

int Engine::Impl::CancelAll() {
  int cancelled = 0;
  for (const std::shared_ptr<LiveRequest>& request : registry_.Live()) {
    const absl::Status status = absl::CancelledError("the server is shutting down");
    if (registry_.End(request, RequestState::kCancelled, status)) ++cancelled;
  }
  return cancelled;
}

int Engine::Impl::Drain(absl::Time deadline) {
  registry_.StopAccepting();
  registry_.WaitUntilIdle(deadline);
  const int cancelled = CancelAll();
  registry_.WaitUntilIdle(absl::InfiniteFuture());
  return cancelled;
}

std::vector<absl::Duration> Engine::Impl::DeviceTimes(const LiveRequest& request) const {
  std::vector<absl::Duration> times;
  for (const GenerationRequest& image : request.images())
    times.push_back(step_times_.DeviceTime(WorkOf(image)));
  return times;
}

std::vector<absl::Duration> Engine::Impl::EstimateDelays(
    std::vector<std::vector<absl::Duration>> waiting) const {
  std::vector<absl::Duration> active;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const RemainingWork& work : worker->backlog()) active.push_back(step_times_.DeviceTime(work));
  }
  const int workers = std::max(1, ready_workers_.load());
  const size_t capacity = static_cast<size_t>(workers) * static_cast<size_t>(options_.max_active_generations);
  return EstimateStartDelays(active, waiting, capacity, workers);
}

std::vector<absl::Duration> Engine::Impl::DelaysOf(
    const std::vector<std::shared_ptr<LiveRequest>>& waiting) const {
  std::vector<std::vector<absl::Duration>> works;
  for (const std::shared_ptr<LiveRequest>& request : waiting) works.push_back(DeviceTimes(*request));
  return EstimateDelays(std::move(works));
}

absl::Duration Engine::Impl::EstimateWait() const {
  std::vector<std::vector<absl::Duration>> works;
  for (const std::shared_ptr<LiveRequest>& request : registry_.Waiting())
    works.push_back(DeviceTimes(*request));
  works.push_back({absl::ZeroDuration()});  // the new one
  return EstimateDelays(std::move(works)).back();
}

EngineSnapshot Engine::Impl::snapshot() const {
  const RequestRegistry::Counts counts = registry_.counts();
  EngineSnapshot snapshot = {.queued_requests = counts.queued,
                             .running_requests = counts.running,
                             .ready_workers = ready_workers_,
                             .draining = !counts.accepting,
                             .completed_total = counts.completed,
                             .cancelled_total = counts.cancelled,
                             .expired_total = counts.expired,
                             .rejected_total = counts.rejected,
                             .failed_total = counts.failed};
  for (const std::unique_ptr<Worker>& worker : workers_) {
    snapshot.active_generations += static_cast<int>(worker->backlog().size());
  }
  return snapshot;
}

Engine::Engine(EngineOptions options, std::vector<PipelineFactory> factories, Clock& clock,
               std::function<void(const StepRecord&)> on_step)
    : impl_(std::make_unique<Impl>(options, std::move(factories), clock, std::move(on_step))) {}

Engine::~Engine() = default;

absl::Status Engine::WaitUntilReady() { return impl_->WaitUntilReady(); }

const Capabilities& Engine::capabilities() const { return impl_->capabilities(); }

absl::Status Engine::Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer) {
  return impl_->Submit(std::move(request), std::move(observer));
}

absl::Status Engine::Cancel(const std::string& id) { return impl_->Cancel(id); }

int Engine::Drain(absl::Time deadline) { return impl_->Drain(deadline); }

absl::Duration Engine::EstimateWait() const { return impl_->EstimateWait(); }

EngineSnapshot Engine::snapshot() const { return impl_->snapshot(); }

}  // namespace kandinsky
