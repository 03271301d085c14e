#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "pipeline/model.h"
#include "scheduler/batch_planner.h"
#include "scheduler/engine_types.h"
#include "scheduler/request_registry.h"
#include "scheduler/row_caps.h"
#include "scheduler/step_time_model.h"

namespace kandinsky {

// What a worker shares with the rest of its engine; everything outlives the worker.
struct WorkerContext {
  const Model& model;
  RequestRegistry& registry;
  StepTimeModel& step_times;
  Clock& clock;
  const EngineOptions& options;
  const std::function<void(const StepRecord&)>& on_step;  // may be empty
};

// What a sample under way still has to do.
struct BacklogItem {
  std::shared_ptr<const LiveRequest> request;  // nothing is left once it has ended
  RemainingWork work;
};

// The samples that a worker has begun, and their steps: plans a batch, steps it, publishes what came of
// it.
//
// A batch that runs out of memory lowers the row cap of its key, and its members, which are unchanged, are
// planned again; one sample alone that does not fit fails. Any other failure ends the requests of the
// batch's members and nobody else's. Exceptions of the pipeline are such failures. Used by one thread.
class ActiveSamples {
 public:
  // `pipeline` outlives this object.
  ActiveSamples(Pipeline& pipeline, const WorkerContext& context);

  // Drops what is left; the registry learns of it.
  ~ActiveSamples();

  ActiveSamples(const ActiveSamples&) = delete;
  ActiveSamples& operator=(const ActiveSamples&) = delete;

  // Admits an image; if the pipeline refuses, its request ends.
  void Add(const BegunImage& image);

  // Ends the requests whose deadline has passed, and drops what nobody waits for any more.
  void DropEnded();

  // Makes one batched step of those that are there; UNAVAILABLE when the pipeline is lost.
  absl::Status Step();

  // Ends the requests of all that is there with `status`.
  void FailAll(const absl::Status& status);

  size_t size() const { return active_.size(); }
  size_t capped_keys() const { return row_caps_.size(); }
  // What is left to do for each.
  std::vector<BacklogItem> Backlog() const;

 private:
  struct ActiveSample {
    std::shared_ptr<LiveRequest> request;
    int image_index = 0;
    std::unique_ptr<Sample> sample;  // null once its result was delivered
    int times_passed_over = 0;

    const GenerationRequest& image_request() const {
      return request->images()[static_cast<size_t>(image_index)];
    }
    RemainingWork work_left() const { return {request->plan(), sample->remaining_steps()}; }
  };

  void EndOverdue();
  void RefuseTooLarge();
  BatchPlan Plan();
  void FailMembers(const BatchPlan& plan, const StepRecord& record);
  void RecordStatistics(const BatchPlan& plan, const StepRecord& record);
  void PublishStep(ActiveSample& active, const StageProgress& before, int batch_rows);
  void PublishPreview(const ActiveSample& active, int step);
  void PublishResult(ActiveSample& active);

  Pipeline& pipeline_;
  const WorkerContext context_;
  BatchLimits limits_;
  RowCaps row_caps_;
  std::vector<ActiveSample> active_;
};

}  // namespace kandinsky
