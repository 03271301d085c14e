#include "scheduler/worker.h"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/logging.h"
#include "scheduler/request_registry.h"

namespace kandinsky {
namespace {

constexpr absl::Duration kLongestRestartDelay = absl::Minutes(1);

}  // namespace

Worker::Worker(std::string name, std::string device, const WorkerContext& context, Callbacks callbacks)
    : name_(std::move(name)),
      device_(std::move(device)),
      context_(context),
      callbacks_(std::move(callbacks)),
      thread_([this] { Run(); }) {}

Worker::~Worker() { thread_.join(); }

Worker::Load Worker::load() const {
  const absl::Time now = context_.clock.Now();
  MutexLock lock(load_mutex_);
  Load load = load_;
  load.busy_ratio = busy_.Ratio(now);
  return load;
}

absl::StatusOr<std::unique_ptr<Pipeline>> Worker::MakePipeline() const {
  try {
    return context_.model.MakePipeline(device_);
  } catch (const std::exception& exception) {
    Log(LogLevel::kError, "making a pipeline threw an exception", {{"exception", exception.what()}});
  } catch (...) {
    Log(LogLevel::kError, "making a pipeline threw an exception", {});
  }
  return absl::InternalError("the pipeline could not be made");
}

void Worker::Run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  absl::StatusOr<std::unique_ptr<Pipeline>> made = MakePipeline();
  if (!made.ok()) {
    callbacks_.on_first_pipeline(made.status());
    return;
  }
  std::unique_ptr<Pipeline> pipeline = *std::move(made);
  callbacks_.on_first_pipeline(absl::OkStatus());
  while (pipeline != nullptr) {
    const absl::Status status = Serve(*pipeline);
    pipeline.reset();
    if (status.ok()) return;
    Log(LogLevel::kError, "the worker lost its pipeline", {{"worker", name_}, {"status", status.ToString()}});
    callbacks_.on_readiness(-1);
    pipeline = Replace();
    if (pipeline != nullptr) callbacks_.on_readiness(+1);
  }
}

std::unique_ptr<Pipeline> Worker::Replace() {
  absl::Duration delay = context_.options.restart_delay;
  while (!context_.registry.WaitUntilClosed(context_.clock.Now() + delay)) {
    absl::StatusOr<std::unique_ptr<Pipeline>> made = MakePipeline();
    if (made.ok()) {
      Log(LogLevel::kInfo, "the worker has a new pipeline", {{"worker", name_}});
      return *std::move(made);
    }
    delay = std::min(2 * delay, kLongestRestartDelay);
    Log(LogLevel::kError, "the worker could not get a new pipeline",
        {{"worker", name_},
         {"status", made.status().ToString()},
         {"next_try_s", absl::ToDoubleSeconds(delay)}});
  }
  return nullptr;
}

absl::Status Worker::Serve(Pipeline& pipeline) {
  const StartedInfo info = {.worker = name_, .device = device_};
  ActiveSamples active(pipeline, context_);
  while (true) {
    active.DropEnded();
    PublishLoad(active);
    const std::vector<BegunImage> begun = context_.registry.Begin(info, active.size());
    for (const BegunImage& image : begun) active.Add(image);
    if (!begun.empty()) PublishLoad(active);
    if (active.size() == 0) {
      if (begun.empty()) return absl::OkStatus();  // closed
      continue;
    }
    const absl::Time start = context_.clock.Now();
    absl::Status status = active.Step();
    {
      const absl::Time end = context_.clock.Now();
      MutexLock lock(load_mutex_);
      busy_.Record(start, end);
    }
    if (absl::IsUnavailable(status)) {
      active.FailAll(absl::UnavailableError("the worker lost its pipeline"));
      active.DropEnded();
      PublishLoad(active);
      return status;
    }
  }
}

void Worker::PublishLoad(const ActiveSamples& active) {
  std::vector<BacklogItem> backlog = active.Backlog();
  MutexLock lock(load_mutex_);
  load_.backlog.swap(backlog);
  load_.capped_keys = active.capped_keys();
}

}  // namespace kandinsky
