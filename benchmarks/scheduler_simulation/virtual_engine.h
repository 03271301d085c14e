#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "benchmarks/scheduler_simulation/arrivals.h"
#include "pipeline/plan.h"
#include "scheduler/admission.h"
#include "scheduler/batch_planner.h"
#include "scheduler/request_queue.h"
#include "scheduler/row_caps.h"
#include "scheduler/step_time_model.h"

namespace kandinsky {

// What came of a workload.
struct SimulationResult {
  std::vector<double> latencies_s;  // of the completed requests, ascending
  std::vector<int64_t> completed_by_client;
  std::vector<double> worst_latency_by_kind_s;
  int64_t refused_queue = 0;     // the queue was full
  int64_t refused_deadline = 0;  // the deadline could not be met
  int64_t shed = 0;
  int64_t expired = 0;  // begun or waiting
  int64_t steps = 0;
  int64_t rows = 0;         // over all steps
  absl::Duration makespan;  // first arrival to last completion
  absl::Duration busy;

  double Percentile(double share) const;
  double throughput() const { return latencies_s.size() / absl::ToDoubleSeconds(makespan); }
  double mean_rows() const { return static_cast<double>(rows) / static_cast<double>(steps); }
};

// The engine in virtual time, with one worker: the admission, queue, planner, memory caps and step time model
// of scheduler/, a loop of its own instead of threads, and steps that take the time of the simulated
// pipeline. For one Run.
class VirtualEngine {
 public:
  VirtualEngine(const EngineOptions& options, const SimulatedStepTimes& times,
                std::vector<RequestKind> kinds);

  SimulationResult Run(const std::vector<Arrival>& arrivals);

 private:
  struct Job {
    std::optional<PlanCursor> cursor;  // once started
    bool waiting = false;
    absl::Duration cost;  // device time, as estimated at its arrival
  };

  void Submit(size_t job);
  void Estimate(const QueuedRequest& request, const Arrival& arrival, AdmissionState& state);
  void SubmitUntil(absl::Time time);
  void ExpireWaiting();
  void ExpireActive();
  // Begins what fits. When nothing is active afterwards, `ready_at` is when something may be.
  void Begin(absl::Time& ready_at);
  void Step();
  void Advance(size_t index);
  void Complete(size_t job);
  void DropActive(size_t index);
  const RequestKind& KindOf(size_t job) const;

  const EngineOptions options_;
  const SimulatedStepTimes times_;
  const std::vector<RequestKind> kinds_;
  const std::vector<Arrival>* arrivals_ = nullptr;
  BatchLimits limits_;
  RequestQueue queue_;
  RowCaps row_caps_;
  StepTimeModel step_times_;

  absl::Time now_;
  size_t next_arrival_ = 0;
  std::vector<Job> jobs_;
  std::vector<std::string> client_names_;
  // The active samples: what the planner sees of them, and their jobs.
  std::vector<BatchCandidate> candidates_;
  std::vector<size_t> active_;
  using Expiry = std::pair<absl::Time, size_t>;
  std::priority_queue<Expiry, std::vector<Expiry>, std::greater<>> expiries_;
  SimulationResult result_;
};

}  // namespace kandinsky
