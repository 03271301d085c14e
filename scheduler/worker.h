#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "pipeline/pipeline.h"
#include "scheduler/active_samples.h"
#include "scheduler/busy_meter.h"
#include "scheduler/engine_types.h"

namespace kandinsky {

// One thread with one pipeline and the samples that it has begun. It repeats: begin waiting images while
// there is room, drop what has ended, make one batched step.
//
// A pipeline that is lost (UNAVAILABLE from Step) takes the requests that were begun here with it, and nobody
// else's; the worker then makes a new one, as often as it takes, with growing pauses.
class Worker {
 public:
  struct Callbacks {
    // Once, from the worker's thread: OK, or why there is no pipeline (then the thread ends).
    std::function<void(const absl::Status&)> on_first_pipeline;
    // From the worker's thread, when it has lost its pipeline (-1) and when it has another one (+1).
    std::function<void(int change)> on_readiness;
  };

  // Starts the thread. `name` is what StartedInfo::worker says, `device` where the model makes the pipeline.
  Worker(std::string name, std::string device, const WorkerContext& context, Callbacks callbacks);

  // Joins the thread; the registry must be closed and without running requests, or this waits for them.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // What the engine's estimates and gauges want to know, as of the last step.
  struct Load {
    std::vector<BacklogItem> backlog;  // of each sample under way
    double busy_ratio = 0;
    size_t capped_keys = 0;
  };
  // Thread-safe.
  Load load() const EXCLUDES(load_mutex_);

 private:
  void Run();
  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline() const;
  // Makes pipelines until there is one; null when the engine ends.
  std::unique_ptr<Pipeline> Replace();
  // Works until the engine ends (OK) or the pipeline is lost.
  absl::Status Serve(Pipeline& pipeline);
  void PublishLoad(const ActiveSamples& active) EXCLUDES(load_mutex_);

  const std::string name_;
  const std::string device_;
  const WorkerContext context_;
  const Callbacks callbacks_;

  mutable Mutex load_mutex_;
  Load load_ GUARDED_BY(load_mutex_);  // without busy_ratio
  BusyMeter busy_ GUARDED_BY(load_mutex_);

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace kandinsky
