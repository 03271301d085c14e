#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "pipeline/capabilities.h"
#include "scheduler/engine_types.h"
#include "scheduler/generation_observer.h"
#include "server/error_details.h"
#include "server/rpc_method.h"
#include "server/serving_metrics.h"
#include "server/step_metrics.h"

namespace kandinsky::server {

// The process's metrics in Prometheus form. Names start with kandinsky_ (but for process_* and grpc_server_*,
// whose names are those that common dashboards read), units are seconds and bytes, and no label ever carries
// a prompt, an id or anything else a client can choose freely. Every series whose labels are known beforehand
// is there from the start, at zero, so that its first event is an increase. Thread-safe.
class Metrics {
 public:
  // `snapshot` is called at each scrape, from the scraping thread. `longest_call` is the longest deadline:
  // where the histograms of durations end.
  explicit Metrics(std::function<ServingSnapshot()> snapshot, absl::Duration longest_call = absl::Minutes(5));

  // There may be calls of this method: makes its series.
  void AddMethod(const RpcMethod& method);

  // A call has come; its end is RecordRequest.
  void RecordStarted(const RpcMethod& method);

  // The end of such a call. `code` is its name in upper case, e.g. "INVALID_ARGUMENT", `reason` its
  // ErrorInfo's, "" when OK.
  void RecordRequest(const RpcMethod& method, const char* code, const std::string& reason,
                     absl::Duration duration);

  // Arrival of a request to the first event that is sent for it, and to its first whole image.
  void RecordFirstEvent(absl::Duration after_arrival);
  void RecordFirstImage(absl::Duration after_arrival);

  // The end of a request that the engine took.
  void RecordGeneration(const GenerationStatistics& statistics);

  // One batched step, also a failed one.
  void RecordStep(const StepRecord& step) { steps_.Record(step); }

  // One image ready to be sent.
  void RecordImage(const char* format);

  // An image of a request that could not be read; `reason` as in FieldViolation::image_fault.
  void RecordRejectedImage(const char* reason);
  // Those among the violations of a request.
  void RecordRejectedImages(const std::vector<FieldViolation>& violations);

  // The model that was loaded.
  void SetModel(const Capabilities& capabilities, absl::Duration load_time);

  // What a scrape gets: the Prometheus text format.
  std::string Text() const;

 private:
  const prometheus::Histogram::BucketBoundaries seconds_;  // bounds of histograms of durations
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::function<ServingSnapshot()> snapshot_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_duration_;
  prometheus::Family<prometheus::Counter>& grpc_started_;
  prometheus::Family<prometheus::Counter>& grpc_handled_;
  prometheus::Family<prometheus::Histogram>& grpc_handling_;
  prometheus::Histogram& queue_wait_;
  prometheus::Histogram& first_event_;
  prometheus::Histogram& first_image_;
  prometheus::Family<prometheus::Histogram>& stage_duration_;
  prometheus::Family<prometheus::Counter>& images_;
  prometheus::Family<prometheus::Counter>& rejected_images_;
  prometheus::Family<prometheus::Gauge>& model_info_;
  prometheus::Gauge& model_load_;
  prometheus::Gauge& weight_bytes_;
  StepMetrics steps_;
};

}  // namespace kandinsky::server
