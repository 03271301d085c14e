#pragma once

#include <prometheus/collectable.h>
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
#include "pipeline/pipeline.h"
#include "scheduler/engine.h"
#include "scheduler/generation_observer.h"

namespace kandinsky {

// What gauges show; read at each scrape.
struct ServingSnapshot {
  bool ready = false;
  bool draining = false;
  int live_calls = 0;
  EngineSnapshot engine;
  absl::Duration estimated_wait = absl::ZeroDuration();
};

// The process's metrics in Prometheus form. Names start with kandinsky_, units are seconds and bytes, and no
// label ever carries a prompt, an id or anything else a client can choose freely. Thread-safe.
class Metrics {
 public:
  // `snapshot` is called at each scrape, from the scraping thread.
  explicit Metrics(std::function<ServingSnapshot()> snapshot);

  // One finished call. `reason` is its ErrorInfo's, "" when OK.
  void RecordRequest(const char* method, const char* code, const std::string& reason,
                     absl::Duration duration);

  // The end of a request that the engine took.
  void RecordGeneration(const GenerationStatistics& statistics);

  // One batched step.
  void RecordStep(const StepRecord& step);

  // One image ready to be sent.
  void RecordImage(const char* format);

  // The model that was loaded.
  void SetModel(const Capabilities& capabilities, absl::Duration load_time);

  // What a scrape gets: the Prometheus text format.
  std::string Text() const;

  // Everything to be scraped. Valid as long as this object.
  std::vector<std::shared_ptr<prometheus::Collectable>> collectables() const { return {registry_, gauges_}; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<prometheus::Collectable> gauges_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_duration_;
  prometheus::Histogram& queue_wait_;
  prometheus::Family<prometheus::Histogram>& stage_duration_;
  prometheus::Family<prometheus::Histogram>& step_duration_;
  prometheus::Histogram& batch_rows_;
  prometheus::Family<prometheus::Counter>& images_;
  prometheus::Family<prometheus::Gauge>& model_info_;
  prometheus::Gauge& model_load_;
  prometheus::Gauge& weight_bytes_;
};

// The edge in pixels of the smallest square, out of a short list, that holds `key`'s image, e.g. "512";
// "none" for stages without a spatial size. Bounds the number of label values.
std::string SizeLabel(const BatchKey& key);

}  // namespace kandinsky
