#include "scheduler/worker.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "scheduler/request_watcher.h"

namespace kandinsky {
namespace {

// Runs a call into the pipeline, which returns an absl::Status or StatusOr. An exception becomes INTERNAL;
// its text goes to the log only, since it may hold anything.
template <typename Call>
auto CatchExceptions(const char* what, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& exception) {
    Log(LogLevel::kError, "the pipeline threw an exception",
        {{"call", what}, {"exception", exception.what()}});
  } catch (...) {
    Log(LogLevel::kError, "the pipeline threw an exception", {{"call", what}});
  }
  return absl::InternalError("the pipeline failed");
}

BatchLimits LimitsOf(const EngineOptions& options, const Capabilities& capabilities) {
  BatchLimits limits;
  limits.max_rows = std::max(1, options.max_batch_rows);
  if (capabilities.max_batch_rows > 0)
    limits.max_rows = std::min(limits.max_rows, capabilities.max_batch_rows);
  limits.max_latent_pixels = options.max_batch_latent_pixels;
  limits.max_times_passed_over = options.max_times_passed_over;
  return limits;
}

// INVALID_ARGUMENT when a text was cut that must not be.
absl::Status CheckStrictPrompt(const GenerationRequest& request, const Generation& generation) {
  if (!request.strict_prompt) return absl::OkStatus();
  for (const PromptTokens& text : generation.prompt_tokens()) {
    if (text.kept_tokens >= text.tokens) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(text.field, " has ", text.tokens, " tokens, the model sees only ", text.kept_tokens));
  }
  return absl::OkStatus();
}

}  // namespace

Worker::Worker(std::string name, PipelineFactory factory, WorkerContext context, ReadyCallback on_ready)
    : name_(std::move(name)),
      context_(context),
      thread_(
          [this, factory = std::move(factory), on_ready = std::move(on_ready)] { Run(factory, on_ready); }) {}

Worker::~Worker() { thread_.join(); }

std::vector<RemainingWork> Worker::backlog() const {
  MutexLock lock(backlog_mutex_);
  return backlog_;
}

void Worker::Run(const PipelineFactory& factory, const ReadyCallback& on_ready) {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  absl::StatusOr<std::unique_ptr<Pipeline>> made = CatchExceptions("create", [&] { return factory(); });
  if (!made.ok()) {
    on_ready(made.status());
    return;
  }
  pipeline_ = *std::move(made);
  const Capabilities capabilities = pipeline_->capabilities();
  limits_ = LimitsOf(context_.options, capabilities);
  started_info_ = {.worker = name_, .device = capabilities.device};
  on_ready(capabilities);
  while (TakeRequests()) {
    const std::vector<size_t> members = Plan();
    if (!members.empty()) StepBatch(members);
  }
  pipeline_.reset();
}

// Returns false when the engine ends.
bool Worker::TakeRequests() {
  EndOverdue();
  DropEnded();
  PublishBacklog();
  const size_t max_active = static_cast<size_t>(std::max(1, context_.options.max_active_generations));
  while (true) {
    const size_t room = max_active - std::min(max_active, active_.size());
    const std::shared_ptr<LiveRequest> request = active_.empty()
                                                     ? context_.registry.WaitAndTake(started_info_)
                                                     : context_.registry.TryTake(started_info_, room);
    if (request == nullptr) break;
    Admit(request);
    PublishBacklog();
  }
  return !active_.empty();
}

void Worker::Admit(const std::shared_ptr<LiveRequest>& request) {
  std::vector<ActiveGeneration> admitted;
  for (const GenerationRequest& image : request->images()) {
    absl::StatusOr<std::unique_ptr<Generation>> generation =
        CatchExceptions("admit", [&] { return pipeline_->Admit(image); });
    if (generation.ok()) {
      if (absl::Status cut = CheckStrictPrompt(image, **generation); !cut.ok()) generation = std::move(cut);
    }
    if (!generation.ok()) {
      const bool refused = absl::IsInvalidArgument(generation.status());
      context_.registry.End(request, refused ? RequestState::kRejected : RequestState::kFailed,
                            generation.status());
      return;
    }
    admitted.push_back({.request = request,
                        .image_index = static_cast<int>(admitted.size()),
                        .generation = *std::move(generation)});
  }
  request->RecordPromptTokens(admitted.front().generation->prompt_tokens());
  std::move(admitted.begin(), admitted.end(), std::back_inserter(active_));
}

// The watcher ends overdue requests as well; doing it here too makes "no step after the deadline" independent
// of which thread runs first.
void Worker::EndOverdue() {
  const absl::Time now = context_.clock.Now();
  for (const ActiveGeneration& active : active_) {
    if (active.request->deadline() <= now) {
      context_.registry.End(active.request, RequestState::kExpired, DeadlineStatus());
    }
  }
}

// Drops what nobody waits for any more: generations of ended requests, and delivered ones.
void Worker::DropEnded() {
  std::erase_if(active_, [](const ActiveGeneration& active) {
    return active.generation == nullptr || active.request->ended();
  });
}

std::vector<size_t> Worker::Plan() {
  std::vector<BatchCandidate> candidates;
  candidates.reserve(active_.size());
  for (const ActiveGeneration& active : active_) {
    candidates.push_back({.key = active.generation->batch_key(),
                          .cost = active.generation->step_cost(),
                          .arrival = active.request->arrival(),
                          .deadline = active.request->deadline(),
                          .times_passed_over = active.times_passed_over});
  }
  std::vector<size_t> members = PlanBatch(candidates, limits_, context_.clock.Now());
  for (ActiveGeneration& active : active_) ++active.times_passed_over;
  for (const size_t i : members) active_[i].times_passed_over = 0;
  return members;
}

void Worker::StepBatch(const std::vector<size_t>& members) {
  const int rows = static_cast<int>(members.size());
  std::vector<Generation*> batch;
  std::vector<StageProgress> before;
  for (const size_t i : members) {
    batch.push_back(active_[i].generation.get());
    before.push_back(batch.back()->progress());
  }
  const BatchKey key = batch.front()->batch_key();
  const absl::Time start = context_.clock.Now();
  const absl::Status status = CatchExceptions("step", [&] { return pipeline_->Step(batch); });
  const absl::Duration duration = context_.clock.Now() - start;
  if (context_.on_step) context_.on_step({.key = key, .rows = rows, .duration = duration, .status = status});
  if (!status.ok()) {
    HandleFailure(members, key, status);
    return;
  }
  context_.step_times.Record(key, rows, duration);
  RecordStatistics(members, key.stage, duration);
  EndOverdue();
  for (size_t i = 0; i < members.size(); ++i) PublishStep(active_[members[i]], before[i], rows);
}

void Worker::HandleFailure(const std::vector<size_t>& members, const BatchKey& key,
                           const absl::Status& status) {
  const int rows = static_cast<int>(members.size());
  const bool out_of_memory = absl::IsResourceExhausted(status);
  Log(LogLevel::kWarning, "a step failed",
      {{"worker", name_}, {"stage", StageName(key.stage)}, {"rows", rows}, {"status", status.ToString()}});
  if (out_of_memory && rows > 1) {
    limits_.row_caps[key] = (rows + 1) / 2;
    return;
  }
  // The seam knows no other failures than these two.
  const absl::Status end = out_of_memory ? status : absl::InternalError(status.message());
  for (const size_t i : members) context_.registry.End(active_[i].request, RequestState::kFailed, end);
}

void Worker::RecordStatistics(const std::vector<size_t>& members, Stage stage, absl::Duration duration) {
  // Images of one request may be several members of the batch, yet it is one step of that request.
  std::vector<LiveRequest*> requests;
  for (const size_t i : members) requests.push_back(active_[i].request.get());
  std::sort(requests.begin(), requests.end());
  requests.erase(std::unique(requests.begin(), requests.end()), requests.end());
  for (LiveRequest* request : requests)
    request->RecordStep(stage, duration, static_cast<int>(members.size()));
}

void Worker::PublishStep(ActiveGeneration& active, const StageProgress& before, int batch_rows) {
  if (active.request->ended()) return;
  const RemainingWork left = WorkAfter(active.image_request(), active.generation->progress());
  context_.registry.Post(
      *active.request,
      ProgressUpdate{
          .image_index = active.image_index,
          .progress = {.stage = before.stage, .step = before.step + 1, .total_steps = before.total_steps},
          .batch_rows = batch_rows,
          .estimated_remaining = context_.step_times.ElapsedTime(left)});
  if (active.generation->stage() == Stage::kDone) PublishResult(active);
}

void Worker::PublishResult(ActiveGeneration& active) {
  absl::StatusOr<GenerationResult> result =
      CatchExceptions("take result", [&] { return active.generation->TakeResult(); });
  if (!result.ok()) {
    context_.registry.End(active.request, RequestState::kFailed, result.status());
    return;
  }
  FinishedImage image = {
      .index = active.image_index, .seed = active.image_request().seed, .result = *std::move(result)};
  active.generation.reset();
  PublishBacklog();
  const bool more = std::any_of(active_.begin(), active_.end(), [&](const ActiveGeneration& other) {
    return other.request == active.request && other.generation != nullptr;
  });
  if (more) {
    context_.registry.Post(*active.request, std::move(image));
  } else {
    context_.registry.Complete(active.request, std::move(image));
  }
}

void Worker::PublishBacklog() {
  std::vector<RemainingWork> backlog;
  for (const ActiveGeneration& active : active_) {
    if (active.generation == nullptr || active.request->ended()) continue;
    backlog.push_back(WorkAfter(active.image_request(), active.generation->progress()));
  }
  MutexLock lock(backlog_mutex_);
  backlog_.swap(backlog);
}

}  // namespace kandinsky
