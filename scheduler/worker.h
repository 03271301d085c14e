#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "pipeline/pipeline.h"
#include "scheduler/batch_planner.h"
#include "scheduler/engine_types.h"
#include "scheduler/request_registry.h"
#include "scheduler/step_time_model.h"

namespace kandinsky {

// What a worker shares with the rest of its engine; everything outlives the worker.
struct WorkerContext {
  RequestRegistry& registry;
  StepTimeModel& step_times;
  Clock& clock;
  const EngineOptions& options;
  const std::function<void(const StepRecord&)>& on_step;  // may be empty
};

// One thread with one pipeline and the generations that it has begun. It repeats: take waiting requests while
// there is room, drop the generations of requests that have ended, plan a batch, step it, publish what came
// of it.
//
// A batch that runs out of memory lowers the row cap of its key to half of its rows, and its members, which
// are unchanged, are planned again; one generation alone that does not fit fails. Any other failure ends the
// requests of the batch's members and nobody else's. Exceptions of the pipeline are such failures.
class Worker {
 public:
  // Called once from the worker's thread: what the pipeline can do, or why there is none (then the thread
  // ends).
  using ReadyCallback = std::function<void(const absl::StatusOr<Capabilities>&)>;

  // Starts the thread. `name` is what StartedInfo::worker says.
  Worker(std::string name, PipelineFactory factory, WorkerContext context, ReadyCallback on_ready);

  // Joins the thread; the registry must be closed and without running requests, or this waits for them.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // What is left to do for each generation under way, as of the last step. Thread-safe.
  std::vector<RemainingWork> backlog() const EXCLUDES(backlog_mutex_);

 private:
  struct ActiveGeneration {
    std::shared_ptr<LiveRequest> request;
    int image_index = 0;
    std::unique_ptr<Generation> generation;
    int times_passed_over = 0;

    const GenerationRequest& image_request() const {
      return request->images()[static_cast<size_t>(image_index)];
    }
  };

  void Run(const PipelineFactory& factory, const ReadyCallback& on_ready);
  bool TakeRequests();
  void Admit(const std::shared_ptr<LiveRequest>& request);
  void DropEnded();
  void EndOverdue();
  std::vector<size_t> Plan();
  void StepBatch(const std::vector<size_t>& members);
  void HandleFailure(const std::vector<size_t>& members, const BatchKey& key, const absl::Status& status);
  void RecordStatistics(const std::vector<size_t>& members, Stage stage, absl::Duration duration);
  void PublishStep(ActiveGeneration& active, const StageProgress& before, int batch_rows);
  void PublishResult(ActiveGeneration& active);
  void PublishBacklog() EXCLUDES(backlog_mutex_);

  const std::string name_;
  const WorkerContext context_;

  // Owned by the thread.
  std::unique_ptr<Pipeline> pipeline_;
  StartedInfo started_info_;
  BatchLimits limits_;
  std::vector<ActiveGeneration> active_;

  mutable Mutex backlog_mutex_;
  std::vector<RemainingWork> backlog_ GUARDED_BY(backlog_mutex_);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace kandinsky
