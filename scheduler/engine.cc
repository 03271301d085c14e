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
namespace {

absl::Status RefusalStatus(RefusalReason refusal) {
  switch (refusal) {
    case RefusalReason::kNone:
      return absl::OkStatus();
    case RefusalReason::kInvalid:
      return absl::InvalidArgumentError("a request needs an image and an observer");
    case RefusalReason::kDraining:
      return absl::UnavailableError("the server is shutting down");
    case RefusalReason::kNoWorker:
      return absl::UnavailableError("no worker has a pipeline");
    case RefusalReason::kQueueFull:
      return absl::ResourceExhaustedError("the request queue is full");
    case RefusalReason::kQueueTooLong:
      return absl::ResourceExhaustedError("the request would wait too long");
    case RefusalReason::kDeadlinePassed:
      return DeadlineStatus();
    case RefusalReason::kDeadlineUnreachable:
      break;
  }
  return absl::DeadlineExceededError("the deadline cannot be met");
}

Submission Invalid() {
  Submission submission;
  submission.refusal = RefusalReason::kInvalid;
  submission.status = RefusalStatus(submission.refusal);
  return submission;
}

absl::Status NotLiveStatus() { return absl::NotFoundError("the request is not live"); }

}  // namespace

class Engine::Impl {
 public:
  Impl(const EngineOptions& options, LoadedModel model, Clock& clock, Callbacks callbacks);
  ~Impl();

  absl::Status WaitUntilReady() EXCLUDES(ready_mutex_);
  const Model& model() const { return *model_; }
  Submission Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer);
  Submission CheckAdmission(const EngineRequest& request);
  absl::Status Cancel(RequestNumber number);
  absl::Status ExtendDeadline(RequestNumber number, absl::Time deadline);
  int Drain(absl::Time deadline);
  Estimate EstimateTimes(const EngineRequest& request) const;
  EngineSnapshot snapshot() const;

 private:
  EngineRequest Planned(EngineRequest request) const;
  void OnFirstPipeline(const absl::Status& status) EXCLUDES(ready_mutex_);
  void OnReadiness(int change);
  absl::Duration ImageCost(const EngineRequest& request) const;
  QueuedRequest ToQueued(const EngineRequest& request, RequestNumber number, absl::Time now) const;
  Estimate EstimateFor(const EngineRequest& request, const QueuedRequest& queued) const;
  // What admission goes by.
  struct Assessment {
    Estimate estimate;
    WorkEstimate work;                                  // of a request that would wait for estimate.wait
    absl::Duration likely_work = absl::ZeroDuration();  // what follows from it
    AdmissionState state() const { return {.estimated_wait = estimate.wait, .estimated_work = likely_work}; }
  };
  Assessment Assess(const EngineRequest& request, const QueuedRequest& queued) const;
  // `left`: until the request's deadline.
  static Submission AnswerOf(const Assessment& assessment, RefusalReason refusal, absl::Duration left);
  // Of a request that would wait for `wait`.
  WorkEstimate WorkOfNew(const EngineRequest& request, const QueuedRequest& queued,
                         absl::Duration wait) const;
  // Device times of what is under way and at least as urgent.
  std::vector<absl::Duration> ActiveTimes(absl::Time urgency = absl::InfiniteFuture()) const;
  std::vector<absl::Duration> DeviceTimes(const WaitingRequest& waiting) const;
  std::vector<absl::Duration> StartDelays(const std::vector<std::vector<absl::Duration>>& waiting) const;
  std::vector<absl::Duration> DelaysOf(const std::vector<WaitingRequest>& waiting) const;
  int BatchesOf(size_t images) const;
  int CancelAll();

  const EngineOptions options_;
  const std::shared_ptr<const Model> model_;
  const size_t worker_count_;
  Clock& clock_;
  const Callbacks callbacks_;
  RequestRegistry registry_;
  StepTimeModel step_times_;
  std::atomic<RequestNumber> last_number_ = 0;

  Mutex ready_mutex_;
  ConditionVariable worker_reported_;
  size_t reported_workers_ GUARDED_BY(ready_mutex_) = 0;
  absl::Status first_error_ GUARDED_BY(ready_mutex_);

  std::vector<std::unique_ptr<Worker>> workers_;
  std::optional<RequestWatcher> watcher_;  // after workers_: it reads their loads
};

Engine::Impl::Impl(const EngineOptions& options, LoadedModel model, Clock& clock, Callbacks callbacks)
    : options_(options),
      model_(std::move(model.model)),
      worker_count_(model.devices.size()),
      clock_(clock),
      callbacks_(std::move(callbacks)),
      registry_(options_, clock) {
  const WorkerContext context = {*model_, registry_, step_times_, clock_, options_, callbacks_.on_step};
  for (const std::string& device : model.devices) {
    workers_.push_back(std::make_unique<Worker>(
        absl::StrCat("worker-", workers_.size()), device, context,
        Worker::Callbacks{.on_first_pipeline = [this](const auto& status) { OnFirstPipeline(status); },
                          .on_readiness = [this](int change) { OnReadiness(change); }}));
  }
  watcher_.emplace(registry_, clock_, options_.queue_status_interval,
                   [this](const auto& waiting) { return DelaysOf(waiting); });
}

Engine::Impl::~Impl() {
  registry_.StopAccepting();
  CancelAll();
  registry_.Close();
  watcher_.reset();
  workers_.clear();
}

void Engine::Impl::OnFirstPipeline(const absl::Status& status) {
  MutexLock lock(ready_mutex_);
  if (status.ok()) registry_.AddReadyWorkers(+1, /*restarted=*/false);
  first_error_.Update(status);
  ++reported_workers_;
  worker_reported_.NotifyAll();
}

void Engine::Impl::OnReadiness(int change) {
  const int ready = registry_.AddReadyWorkers(change, /*restarted=*/change > 0);
  if (callbacks_.on_readiness) callbacks_.on_readiness(ready);
}

absl::Status Engine::Impl::WaitUntilReady() {
  if (worker_count_ == 0) return absl::FailedPreconditionError("the engine has no worker");
  MutexLock lock(ready_mutex_);
  while (reported_workers_ < worker_count_) worker_reported_.Wait(ready_mutex_);
  return first_error_;
}

EngineRequest Engine::Impl::Planned(EngineRequest request) const {
  request.plan = std::make_shared<const Plan>(model_->PlanOf(request.images.front()));
  return request;
}

// Until something was measured, steps times area stands for the time.
absl::Duration Engine::Impl::ImageCost(const EngineRequest& request) const {
  const absl::Duration measured = step_times_.DeviceTime(RemainingWork(request.plan));
  if (measured > absl::ZeroDuration()) return measured;
  const GenerationRequest& image = request.images.front();
  return absl::Nanoseconds(int64_t{image.width} * image.height *
                           (request.plan->StepsOf(Stage::kDenoise) + 1));
}

QueuedRequest Engine::Impl::ToQueued(const EngineRequest& request, RequestNumber number,
                                     absl::Time now) const {
  return {.number = number,
          .client = request.client,
          .priority = request.priority,
          .arrival = now,
          .images = static_cast<int>(request.images.size()),
          .image_cost = ImageCost(request),
          .key = StrictBatchKeyOf(request.images.front(), *request.plan)};
}

Engine::Impl::Assessment Engine::Impl::Assess(const EngineRequest& request,
                                              const QueuedRequest& queued) const {
  Assessment assessment;
  assessment.estimate = EstimateFor(request, queued);
  assessment.work = WorkOfNew(request, queued, assessment.estimate.wait);
  const bool idle = registry_.counts().active_generations == 0;
  assessment.likely_work = LikelyWork(assessment.work, idle);
  return assessment;
}

Submission Engine::Impl::AnswerOf(const Assessment& assessment, RefusalReason refusal, absl::Duration left) {
  const Estimate& estimate = assessment.estimate;
  Submission submission;
  submission.refusal = refusal;
  submission.status = RefusalStatus(refusal);
  submission.estimated_wait = estimate.wait;
  submission.estimated_total = estimate.wait + estimate.work;
  if (refusal == RefusalReason::kDeadlineUnreachable) {
    submission.reachable_after =
        ReachableAfter(assessment.work, estimate.wait + assessment.likely_work, left);
  }
  return submission;
}

Submission Engine::Impl::Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer) {
  if (request.images.empty() || observer == nullptr) return Invalid();
  if (request.plan == nullptr) request = Planned(std::move(request));
  const absl::Time now = clock_.Now();
  const RequestNumber number = ++last_number_;
  const QueuedRequest queued = ToQueued(request, number, now);
  const Assessment assessment = Assess(request, queued);
  const absl::Duration left = request.deadline - now;
  const auto live = std::make_shared<LiveRequest>(number, std::move(request), std::move(observer), now);
  Submission submission = AnswerOf(assessment, registry_.Add(live, queued, assessment.state()), left);
  submission.number = number;
  return submission;
}

Submission Engine::Impl::CheckAdmission(const EngineRequest& request) {
  if (request.images.empty()) return Invalid();
  if (request.plan == nullptr) return CheckAdmission(Planned(request));
  const absl::Time now = clock_.Now();
  const QueuedRequest queued = ToQueued(request, last_number_ + 1, now);
  const Assessment assessment = Assess(request, queued);
  const RefusalReason refusal = registry_.Check(queued, assessment.state(), request.deadline);
  return AnswerOf(assessment, refusal, request.deadline - now);
}

absl::Status Engine::Impl::Cancel(RequestNumber number) {
  const std::shared_ptr<LiveRequest> request = registry_.Find(number);
  if (request == nullptr) return NotLiveStatus();
  // A request that ended since is as good as cancelled.
  registry_.End(request, RequestState::kCancelled, absl::CancelledError("the request was cancelled"));
  return absl::OkStatus();
}

absl::Status Engine::Impl::ExtendDeadline(RequestNumber number, absl::Time deadline) {
  if (registry_.ExtendDeadline(number, deadline)) return absl::OkStatus();
  return NotLiveStatus();
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

std::vector<absl::Duration> Engine::Impl::ActiveTimes(absl::Time urgency) const {
  std::vector<absl::Duration> times;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    for (const BacklogItem& item : worker->load().backlog) {
      if (item.request->ended() || item.request->urgency() > urgency) continue;
      times.push_back(step_times_.DeviceTime(item.work));
    }
  }
  return times;
}

// All images of a request have the same plan.
std::vector<absl::Duration> Engine::Impl::DeviceTimes(const WaitingRequest& waiting) const {
  const absl::Duration image = step_times_.DeviceTime(RemainingWork(waiting.request->plan()));
  return std::vector<absl::Duration>(static_cast<size_t>(waiting.images), image);
}

std::vector<absl::Duration> Engine::Impl::StartDelays(
    const std::vector<std::vector<absl::Duration>>& waiting) const {
  const size_t workers = std::max<size_t>(1, worker_count_);
  const size_t capacity = workers * static_cast<size_t>(std::max(1, options_.max_active_generations));
  return EstimateStartDelays(ActiveTimes(), waiting, capacity, static_cast<int>(workers));
}

std::vector<absl::Duration> Engine::Impl::DelaysOf(const std::vector<WaitingRequest>& waiting) const {
  std::vector<std::vector<absl::Duration>> times;
  times.reserve(waiting.size());
  for (const WaitingRequest& request : waiting) times.push_back(DeviceTimes(request));
  return StartDelays(times);
}

// Batched steps that a request needs where one image needs one.
int Engine::Impl::BatchesOf(size_t images) const {
  const size_t rows =
      std::max<size_t>(1, worker_count_) * static_cast<size_t>(std::max(1, options_.max_batch_rows));
  return static_cast<int>((images + rows - 1) / rows);
}

Engine::Estimate Engine::Impl::EstimateFor(const EngineRequest& request, const QueuedRequest& queued) const {
  std::vector<std::vector<absl::Duration>> times;
  for (const WaitingRequest& ahead : registry_.Ahead(queued)) times.push_back(DeviceTimes(ahead));
  times.push_back({absl::ZeroDuration()});  // the new one
  const RemainingWork work(request.plan);
  return {.wait = StartDelays(times).back(),
          .work = BatchesOf(request.images.size()) * step_times_.ElapsedTime(work)};
}

WorkEstimate Engine::Impl::WorkOfNew(const EngineRequest& request, const QueuedRequest& queued,
                                     absl::Duration wait) const {
  const RemainingWork work(request.plan);
  const int batches = BatchesOf(request.images.size());
  absl::Duration ahead = static_cast<int64_t>(request.images.size()) * step_times_.DeviceTime(work);
  for (const absl::Duration time :
       ActiveTimes(UrgencyOf(queued.arrival, request.deadline, request.priority))) {
    ahead += time;
  }
  for (const WaitingRequest& waiting : registry_.Ahead(queued)) {
    for (const absl::Duration time : DeviceTimes(waiting)) ahead += time;
  }
  return {.alone = batches * step_times_.LeastTime(work),
          .shared = batches * step_times_.ElapsedTime(work),
          .ahead = ahead / static_cast<int64_t>(std::max<size_t>(1, worker_count_)),
          .wait = wait};
}

Engine::Estimate Engine::Impl::EstimateTimes(const EngineRequest& request) const {
  if (request.images.empty()) return {};
  if (request.plan == nullptr) return EstimateTimes(Planned(request));
  return EstimateFor(request, ToQueued(request, last_number_ + 1, clock_.Now()));
}

EngineSnapshot Engine::Impl::snapshot() const {
  EngineSnapshot snapshot = registry_.counts();
  snapshot.workers = static_cast<int>(worker_count_);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const Worker::Load load = worker->load();
    snapshot.busy_ratio += load.busy_ratio / static_cast<double>(std::max<size_t>(1, worker_count_));
    snapshot.capped_keys += static_cast<int64_t>(load.capped_keys);
  }
  std::vector<std::vector<absl::Duration>> waiting;
  absl::Duration total;
  for (const WaitingRequest& request : registry_.Order()) {
    waiting.push_back(DeviceTimes(request));
    for (const absl::Duration time : waiting.back()) total += time;
  }
  for (const absl::Duration time : ActiveTimes()) total += time;
  snapshot.estimated_drain = total / static_cast<int64_t>(std::max<size_t>(1, worker_count_));
  waiting.push_back({absl::ZeroDuration()});  // one submitted now
  snapshot.estimated_wait = StartDelays(waiting).back();
  return snapshot;
}

Engine::Engine(EngineOptions options, LoadedModel model, Clock& clock, Callbacks callbacks)
    : impl_(std::make_unique<Impl>(options, std::move(model), clock, std::move(callbacks))) {}

Engine::~Engine() = default;

absl::Status Engine::WaitUntilReady() { return impl_->WaitUntilReady(); }

const Model& Engine::model() const { return impl_->model(); }

Submission Engine::Submit(EngineRequest request, std::shared_ptr<GenerationObserver> observer) {
  return impl_->Submit(std::move(request), std::move(observer));
}

Submission Engine::CheckAdmission(const EngineRequest& request) { return impl_->CheckAdmission(request); }

absl::Status Engine::Cancel(RequestNumber number) { return impl_->Cancel(number); }

absl::Status Engine::ExtendDeadline(RequestNumber number, absl::Time deadline) {
  return impl_->ExtendDeadline(number, deadline);
}

int Engine::Drain(absl::Time deadline) { return impl_->Drain(deadline); }

Engine::Estimate Engine::EstimateTimes(const EngineRequest& request) const {
  return impl_->EstimateTimes(request);
}

EngineSnapshot Engine::snapshot() const { return impl_->snapshot(); }

}  // namespace kandinsky
