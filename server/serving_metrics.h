#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <vector>

#include "scheduler/engine_snapshot.h"
#include "scheduler/engine_types.h"

namespace kandinsky::server {

// What is read at each scrape instead of being counted.
struct ServingSnapshot {
  bool ready = false;
  bool draining = false;
  int live_calls = 0;
  int preparing_requests = 0;  // accepted, and not yet the engine's
  int64_t inflight_bytes = 0;  // of requests and results in memory, kept ones included
  int64_t kept_results = 0;    // requests whose result is kept after their call
  int64_t accepted_connections = 0;
  int64_t refused_connections = 0;  // for want of file descriptors
  EngineSnapshot engine;            // all zero while there is no engine
};

// The gauges, and the engine's totals as counters.
std::vector<prometheus::MetricFamily> CollectServingMetrics(const ServingSnapshot& now);

}  // namespace kandinsky::server
