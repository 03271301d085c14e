#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "pipeline/generation_request.h"
#include "pipeline/plan.h"
#include "pipeline/simulated/step_times.h"
#include "scheduler/engine_types.h"

namespace kandinsky {

// A kind of request, and how often it comes.
struct RequestKind {
  GenerationRequest request;
  std::shared_ptr<const Plan> plan;  // its work
  double weight = 1;
};

// Three sizes and three step counts, as an image service sees them: mostly 512 x 512 with 50 steps.
std::vector<RequestKind> MixedKinds();

// One request of a workload.
struct Arrival {
  absl::Time time;
  absl::Time deadline = absl::InfiniteFuture();
  int kind = 0;    // index into the kinds
  int client = 0;  // each has the same chance
  Priority priority = Priority::kNormal;
};

struct WorkloadOptions {
  size_t requests = 100000;
  double requests_per_second = 1;
  // Poisson arrivals, or bursts of them: the rate alternates between 1.75 and 0.25 times the mean, for
  // exponentially distributed times of 10 s on average.
  bool bursty = false;
  absl::Duration patience = absl::InfiniteDuration();  // deadline after arrival
  int clients = 10;
  double greedy_share = 0;  // of the requests that come from client 0, beside its even share of the rest
  uint32_t seed = 1;
};

// Arrivals by time, from the epoch on. The same options give the same arrivals.
std::vector<Arrival> MakeArrivals(const WorkloadOptions& options, const std::vector<RequestKind>& kinds);

// Requests per second that a device can do at most when every step has `rows` rows: the bound of any schedule
// with batches up to that size.
double Capacity(const std::vector<RequestKind>& kinds, const SimulatedStepTimes& times, int rows);

}  // namespace kandinsky
