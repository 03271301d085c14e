#include "scheduler/active_samples.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/logging.h"
#include "scheduler/cut_text.h"

namespace kandinsky {
namespace {

BatchLimits LimitsOf(const EngineOptions& options, const Capabilities& capabilities) {
  BatchLimits limits;
  limits.max_rows = std::max(1, options.max_batch_rows);
  if (capabilities.max_batch_rows > 0) {
    limits.max_rows = std::min(limits.max_rows, capabilities.max_batch_rows);
  }
  limits.max_latent_pixels = options.max_batch_latent_pixels;
  limits.max_memory_bytes = options.max_batch_memory_bytes;
  limits.max_times_passed_over = options.max_times_passed_over;
  return limits;
}

// CutTextError when a text was cut that must not be.
absl::Status CheckStrictPrompt(const GenerationRequest& request, const Sample& sample, int image_index) {
  if (!request.strict_prompt) return absl::OkStatus();
  for (const PromptTokens& text : sample.prompt_tokens()) {
    if (text.kept_tokens < text.tokens) return CutTextError(text, image_index);
  }
  return absl::OkStatus();
}

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

}  // namespace

ActiveSamples::ActiveSamples(Pipeline& pipeline, const WorkerContext& context)
    : pipeline_(pipeline),
      context_(context),
      limits_(LimitsOf(context.options, context.model.capabilities())),
      row_caps_(std::max(1, context.options.probe_after_steps)) {}

ActiveSamples::~ActiveSamples() {
  for (const ActiveSample& active : active_) {
    if (active.sample != nullptr) context_.registry.Release(1, /*steps_saved=*/0);
  }
}

void ActiveSamples::Add(const BegunImage& image) {
  ActiveSample active = {.request = image.request, .image_index = image.index, .sample = nullptr};
  absl::StatusOr<std::unique_ptr<Sample>> sample = CatchExceptions(
      "admit", [&] { return pipeline_.Admit(active.image_request(), active.request->plan()); });
  if (sample.ok()) {
    absl::Status cut = CheckStrictPrompt(active.image_request(), **sample, image.index);
    if (!cut.ok()) sample = std::move(cut);
  }
  if (!sample.ok()) {
    const bool refused = absl::IsInvalidArgument(sample.status());
    context_.registry.End(image.request, refused ? RequestState::kRejected : RequestState::kFailed,
                          sample.status());
    context_.registry.Release(1, /*steps_saved=*/0);
    return;
  }
  active.sample = *std::move(sample);
  active.request->RecordPromptTokens(active.sample->prompt_tokens());
  active_.push_back(std::move(active));
}

// The watcher ends overdue requests as well; doing it here too makes "no step after the deadline" independent
// of which thread runs first.
void ActiveSamples::EndOverdue() {
  const absl::Time now = context_.clock.Now();
  for (const ActiveSample& active : active_) {
    if (active.request->deadline() <= now) context_.registry.EndIfOverdue(active.request);
  }
}

void ActiveSamples::DropEnded() {
  EndOverdue();
  int dropped = 0;
  int steps_saved = 0;
  std::erase_if(active_, [&](const ActiveSample& active) {
    if (active.sample == nullptr) return true;
    const RequestState state = active.request->state();
    if (!IsEnd(state)) return false;
    const bool stopped = state == RequestState::kCancelled || state == RequestState::kExpired;
    if (stopped) steps_saved += active.sample->remaining_steps();
    ++dropped;
    return true;
  });
  if (dropped > 0) context_.registry.Release(dropped, steps_saved);
}

void ActiveSamples::FailAll(const absl::Status& status) {
  for (const ActiveSample& active : active_) {
    context_.registry.End(active.request, RequestState::kFailed, status);
  }
}

// Waiting for room would not help these.
void ActiveSamples::RefuseTooLarge() {
  for (const ActiveSample& active : active_) {
    if (active.sample->step_cost().memory_bytes <= limits_.max_memory_bytes) continue;
    context_.registry.End(active.request, RequestState::kFailed,
                          absl::ResourceExhaustedError("one image needs more memory than there is"));
  }
  DropEnded();
}

BatchPlan ActiveSamples::Plan() {
  RefuseTooLarge();
  std::vector<BatchCandidate> candidates;
  candidates.reserve(active_.size());
  for (const ActiveSample& active : active_) {
    candidates.push_back({.key = active.sample->batch_key(),
                          .cost = active.sample->step_cost(),
                          .urgency = active.request->urgency(),
                          .deadline = active.request->deadline(),
                          .times_passed_over = active.times_passed_over});
  }
  BatchPlan plan = PlanBatch(candidates, limits_, row_caps_, context_.clock.Now());
  for (ActiveSample& active : active_) ++active.times_passed_over;
  for (const size_t i : plan.members) active_[i].times_passed_over = 0;
  return plan;
}

absl::Status ActiveSamples::Step() {
  const BatchPlan plan = Plan();
  if (plan.members.empty()) return absl::OkStatus();
  std::vector<Sample*> batch;
  std::vector<StageProgress> before;
  for (const size_t i : plan.members) {
    batch.push_back(active_[i].sample.get());
    before.push_back(batch.back()->progress());
  }
  StepRecord record = {.key = batch.front()->batch_key(),
                       .rows = static_cast<int>(batch.size()),
                       .duration = absl::ZeroDuration(),
                       .status = absl::OkStatus(),
                       .not_merged = plan.not_merged};
  const absl::Time start = context_.clock.Now();
  record.status = CatchExceptions("step", [&] { return pipeline_.Step(batch); });
  record.duration = context_.clock.Now() - start;
  if (record.status.ok()) record.cap_raised = row_caps_.RecordSuccess(record.key, record.rows);
  if (context_.on_step) context_.on_step(record);
  if (!record.status.ok()) {
    FailMembers(plan, record);
    return record.status;
  }
  context_.step_times.Record(record.key, record.rows, record.duration);
  RecordStatistics(plan, record);
  EndOverdue();
  for (size_t i = 0; i < plan.members.size(); ++i) {
    PublishStep(active_[plan.members[i]], before[i], record.rows);
  }
  return absl::OkStatus();
}

void ActiveSamples::FailMembers(const BatchPlan& plan, const StepRecord& record) {
  Log(LogLevel::kWarning, "a step failed",
      {{"stage", StageName(record.key.stage)}, {"rows", record.rows}, {"status", record.status.ToString()}});
  const bool out_of_memory = absl::IsResourceExhausted(record.status);
  if (out_of_memory && record.rows > 1) {
    row_caps_.RecordOutOfMemory(record.key, record.rows);
    return;
  }
  // The pipeline interface knows no other failures than these three; a lost pipeline fails more than its
  // members.
  if (absl::IsUnavailable(record.status)) return;
  const absl::Status end = out_of_memory ? record.status : absl::InternalError(record.status.message());
  for (const size_t i : plan.members) {
    context_.registry.End(active_[i].request, RequestState::kFailed, end);
  }
}

void ActiveSamples::RecordStatistics(const BatchPlan& plan, const StepRecord& record) {
  // Images of one request may be several members of the batch, yet it is one step of that request.
  std::vector<LiveRequest*> requests;
  requests.reserve(plan.members.size());
  for (const size_t i : plan.members) requests.push_back(active_[i].request.get());
  std::sort(requests.begin(), requests.end());
  requests.erase(std::unique(requests.begin(), requests.end()), requests.end());
  for (LiveRequest* request : requests) request->RecordStep(record);
}

void ActiveSamples::PublishStep(ActiveSample& active, const StageProgress& before, int batch_rows) {
  if (active.request->ended()) return;
  context_.registry.Post(
      *active.request,
      ProgressUpdate{
          .image_index = active.image_index,
          .progress = {.stage = before.stage, .step = before.step + 1, .total_steps = before.total_steps},
          .batch_rows = batch_rows,
          .estimated_remaining = context_.step_times.ElapsedTime(active.work_left())});
  if (before.stage == Stage::kDenoise) PublishPreview(active, before.step + 1);
  if (active.sample->stage() == Stage::kDone) PublishResult(active);
}

void ActiveSamples::PublishPreview(const ActiveSample& active, int step) {
  const int every = active.image_request().preview_every_steps;
  if (every <= 0 || step % every != 0) return;
  // What is left of a failing preview is one preview less.
  std::optional<Image> image;
  const absl::Status made = CatchExceptions("preview", [&] {
    image = active.sample->Preview();
    return absl::OkStatus();
  });
  if (!made.ok() || !image.has_value()) return;
  context_.registry.Post(
      *active.request,
      PreviewImage{.image_index = active.image_index, .step = step, .image = *std::move(image)});
}

void ActiveSamples::PublishResult(ActiveSample& active) {
  absl::StatusOr<GenerationResult> result =
      CatchExceptions("take result", [&] { return active.sample->TakeResult(); });
  if (!result.ok()) {
    context_.registry.End(active.request, RequestState::kFailed, result.status());
    return;
  }
  FinishedImage image = {.index = active.image_index,
                         .seed = active.image_request().seed,
                         .result = *std::move(result),
                         .prompt_tokens = active.sample->prompt_tokens()};
  active.sample.reset();
  context_.registry.Release(1, /*steps_saved=*/0);
  context_.registry.CompleteImage(active.request, std::move(image));
}

std::vector<BacklogItem> ActiveSamples::Backlog() const {
  std::vector<BacklogItem> backlog;
  backlog.reserve(active_.size());
  for (const ActiveSample& active : active_) {
    if (active.sample == nullptr || active.request->ended()) continue;
    backlog.push_back({.request = active.request, .work = active.work_left()});
  }
  return backlog;
}

}  // namespace kandinsky
