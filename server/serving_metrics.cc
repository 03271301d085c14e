#include "server/serving_metrics.h"

#include <iterator>

#include "absl/time/time.h"
#include "server/metric_families.h"

namespace kandinsky::server {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

template <typename Integer>
double ToDouble(Integer count) {
  return static_cast<double>(count);
}

Families CollectLoad(const ServingSnapshot& now) {
  const EngineSnapshot& engine = now.engine;
  std::vector<LabeledValue> depths;
  for (size_t i = 0; i < kPriorities; ++i) {
    depths.push_back({PriorityName(static_cast<Priority>(i)), ToDouble(engine.queued_by_priority[i])});
  }
  return {
      SimpleGauge("kandinsky_ready", "1 when the server takes work and says so, else 0", now.ready),
      SimpleGauge("kandinsky_draining", "1 when the server is on its way out, else 0", now.draining),
      SimpleGauge("kandinsky_inflight_calls", "RPCs that are alive", now.live_calls),
      SimpleGauge("kandinsky_preparing_requests",
                  "Requests whose inputs are prepared, or that are being handed to the queue",
                  now.preparing_requests),
      SimpleGauge("kandinsky_inflight_requests", "Requests that a worker has begun",
                  ToDouble(engine.running_requests)),
      SimpleGauge("kandinsky_inflight_generations", "Images that a worker has begun",
                  engine.active_generations),
      SimpleGauge("kandinsky_inflight_bytes", "Requests and results in memory, kept ones included",
                  ToDouble(now.inflight_bytes)),
      SimpleGauge("kandinsky_kept_results", "Requests whose result is kept after their call",
                  ToDouble(now.kept_results)),
      LabeledGauge("kandinsky_queue_depth", "Requests that wait", "priority", depths),
      SimpleGauge("kandinsky_oldest_age_seconds", "Wait so far of the request that waits longest",
                  absl::ToDoubleSeconds(engine.oldest_wait)),
      SimpleGauge("kandinsky_estimated_wait_seconds",
                  "Wait of a request submitted now, from measured step times",
                  absl::ToDoubleSeconds(engine.estimated_wait)),
      SimpleGauge("kandinsky_estimated_drain_seconds",
                  "Time until all accepted work is done, from measured step times; what to scale on",
                  absl::ToDoubleSeconds(engine.estimated_drain)),
      SimpleGauge("kandinsky_workers", "Workers", engine.workers),
      SimpleGauge("kandinsky_workers_ready", "Workers that have their pipeline", engine.ready_workers),
      SimpleGauge("kandinsky_worker_busy_ratio", "Share of the last minute in which workers computed",
                  engine.busy_ratio),
      SimpleGauge("kandinsky_memory_capped_keys", "Kinds of batch with a cap because memory ran out",
                  ToDouble(engine.capped_keys)),
  };
}

Families CollectTotals(const ServingSnapshot& now) {
  const EngineSnapshot& engine = now.engine;
  return {
      SimpleCounter("kandinsky_connections_accepted_total",
                    "Connections to listen_address, those of the own probe included",
                    ToDouble(now.accepted_connections)),
      SimpleCounter("kandinsky_connections_refused_total",
                    "Connections closed at once because file descriptors were short",
                    ToDouble(now.refused_connections)),
      SimpleCounter("kandinsky_rejected_total", "Requests refused at admission, or before their first step",
                    ToDouble(engine.rejected_total)),
      SimpleCounter("kandinsky_shed_total", "Requests that gave their place in a full queue to another one",
                    ToDouble(engine.shed_total)),
      LabeledCounter("kandinsky_expired_total", "Accepted requests whose deadline passed", "phase",
                     {{"queued", ToDouble(engine.expired_queued_total)},
                      {"running", ToDouble(engine.expired_running_total)}}),
      LabeledCounter("kandinsky_cancelled_total", "Accepted requests that were cancelled", "phase",
                     {{"queued", ToDouble(engine.cancelled_queued_total)},
                      {"running", ToDouble(engine.cancelled_running_total)}}),
      SimpleCounter("kandinsky_steps_saved_by_cancel_total", "Steps that ended requests did not take",
                    ToDouble(engine.steps_saved_total)),
      SimpleCounter("kandinsky_worker_restarts_total", "Pipelines made again after one was lost",
                    ToDouble(engine.worker_restarts_total)),
  };
}

}  // namespace

Families CollectServingMetrics(const ServingSnapshot& now) {
  Families families = CollectLoad(now);
  Families totals = CollectTotals(now);
  families.insert(families.end(), std::make_move_iterator(totals.begin()),
                  std::make_move_iterator(totals.end()));
  return families;
}

}  // namespace kandinsky::server
