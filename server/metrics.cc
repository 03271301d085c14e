#include "server/metrics.h"

#include <grpcpp/grpcpp.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/process_metrics.h"

namespace kandinsky {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

const Histogram::BucketBoundaries kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                              2.5,   5,    10,    25,   50,  100,  200, 300};
const Histogram::BucketBoundaries kRows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256};
constexpr int kSizes[] = {256, 512, 768, 1024, 1536, 2048};
constexpr int kLatentScale = 8;

constexpr Stage kTimedStages[] = {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode};

// What is read at scrape time instead of being kept up to date.
class ScrapedGauges : public prometheus::Collectable {
 public:
  explicit ScrapedGauges(std::function<ServingSnapshot()> snapshot) : snapshot_(std::move(snapshot)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const ServingSnapshot now = snapshot_();
    std::vector<prometheus::MetricFamily> families = {
        SimpleGauge("kandinsky_ready", "1 when the server takes work and says so, else 0", now.ready),
        SimpleGauge("kandinsky_draining", "1 when the server is on its way out, else 0", now.draining),
        SimpleGauge("kandinsky_inflight_calls", "RPCs that are alive", now.live_calls),
        SimpleGauge("kandinsky_queue_depth", "Requests that wait",
                    static_cast<double>(now.engine.queued_requests)),
        SimpleGauge("kandinsky_inflight_requests", "Requests that a worker has begun",
                    static_cast<double>(now.engine.running_requests)),
        SimpleGauge("kandinsky_inflight_generations", "Images that a worker has begun",
                    now.engine.active_generations),
        SimpleGauge("kandinsky_workers_ready", "Workers that have their pipeline", now.engine.ready_workers),
        SimpleGauge("kandinsky_estimated_wait_seconds",
                    "Wait of a request submitted now, from measured step times",
                    absl::ToDoubleSeconds(now.estimated_wait)),
    };
    for (prometheus::MetricFamily& family : CollectProcessMetrics()) families.push_back(std::move(family));
    return families;
  }

 private:
  const std::function<ServingSnapshot()> snapshot_;
};

}  // namespace

Metrics::Metrics(std::function<ServingSnapshot()> snapshot)
    : registry_(std::make_shared<prometheus::Registry>()),
      gauges_(std::make_shared<ScrapedGauges>(std::move(snapshot))),
      requests_(BuildCounter()
                    .Name("kandinsky_requests_total")
                    .Help("Finished calls by method, status code and error reason")
                    .Register(*registry_)),
      request_duration_(BuildHistogram()
                            .Name("kandinsky_request_duration_seconds")
                            .Help("Arrival of a call to its status")
                            .Register(*registry_)),
      queue_wait_(BuildHistogram()
                      .Name("kandinsky_queue_wait_seconds")
                      .Help("Arrival of a request to its start, or to its end when it never started")
                      .Register(*registry_)
                      .Add({}, kSeconds)),
      stage_duration_(BuildHistogram()
                          .Name("kandinsky_stage_duration_seconds")
                          .Help("Time of a request in batched steps of a stage")
                          .Register(*registry_)),
      step_duration_(BuildHistogram()
                         .Name("kandinsky_step_duration_seconds")
                         .Help("Duration of one batched step")
                         .Register(*registry_)),
      batch_rows_(BuildHistogram()
                      .Name("kandinsky_batch_rows")
                      .Help("Images that shared a step")
                      .Register(*registry_)
                      .Add({}, kRows)),
      images_(
          BuildCounter().Name("kandinsky_images_total").Help("Images ready to be sent").Register(*registry_)),
      model_info_(
          BuildGauge().Name("kandinsky_model_info").Help("The loaded model; always 1").Register(*registry_)),
      model_load_(BuildGauge()
                      .Name("kandinsky_model_load_seconds")
                      .Help("How long loading the model took")
                      .Register(*registry_)
                      .Add({})),
      weight_bytes_(BuildGauge()
                        .Name("kandinsky_weights_loaded_bytes")
                        .Help("Size of the model's weights")
                        .Register(*registry_)
                        .Add({})) {
  BuildGauge()
      .Name("kandinsky_build_info")
      .Help("The running program; always 1")
      .Register(*registry_)
      .Add({{"version", KANDINSKY_VERSION}, {"grpc", grpc::Version()}})
      .Set(1);
}

void Metrics::RecordRequest(const char* method, const char* code, const std::string& reason,
                            absl::Duration duration) {
  requests_.Add({{"method", method}, {"code", code}, {"reason", reason}}).Increment();
  request_duration_.Add({{"method", method}}, kSeconds).Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::RecordGeneration(const GenerationStatistics& statistics) {
  queue_wait_.Observe(absl::ToDoubleSeconds(statistics.queued));
  for (const Stage stage : kTimedStages) {
    const absl::Duration duration = statistics.stage_durations[static_cast<size_t>(stage)];
    if (duration == absl::ZeroDuration()) continue;  // never got there
    stage_duration_.Add({{"stage", StageName(stage)}}, kSeconds).Observe(absl::ToDoubleSeconds(duration));
  }
}

void Metrics::RecordStep(const StepRecord& step) {
  step_duration_.Add({{"stage", StageName(step.key.stage)}, {"size", SizeLabel(step.key)}}, kSeconds)
      .Observe(absl::ToDoubleSeconds(step.duration));
  batch_rows_.Observe(step.rows);
}

void Metrics::RecordImage(const char* format) { images_.Add({{"format", format}}).Increment(); }

void Metrics::SetModel(const Capabilities& capabilities, absl::Duration load_time) {
  model_info_
      .Add({{"name", capabilities.model_name},
            {"family", capabilities.family},
            {"network", capabilities.network},
            {"device", capabilities.device},
            {"dtype", capabilities.dtype}})
      .Set(1);
  model_load_.Set(absl::ToDoubleSeconds(load_time));
  weight_bytes_.Set(static_cast<double>(capabilities.weight_bytes));
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& collectable : collectables()) {
    for (prometheus::MetricFamily& family : collectable->Collect()) families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

std::string SizeLabel(const BatchKey& key) {
  const int64_t area = int64_t{key.latent_height} * key.latent_width * kLatentScale * kLatentScale;
  if (area == 0) return "none";
  for (const int size : kSizes) {
    if (area <= int64_t{size} * size) return absl::StrCat(size);
  }
  return "larger";
}

}  // namespace kandinsky
