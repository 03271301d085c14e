#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <string>

#include "absl/time/time.h"
#include "pipeline/pipeline.h"
#include "scheduler/batch_planner.h"
#include "scheduler/engine_types.h"

namespace kandinsky::server {

// The metrics of batched steps. Thread-safe.
class StepMetrics {
 public:
  // Adds its families to `registry`, which outlives this object. `longest`: what the longest requests may
  // take.
  StepMetrics(prometheus::Registry& registry, absl::Duration longest);

  // Of the model whose steps are recorded, as in Capabilities.
  void SetLatentScale(int latent_scale) { latent_scale_ = latent_scale; }

  // One batched step, also a failed one.
  void Record(const StepRecord& step);

 private:
  using StageCounters = std::array<prometheus::Counter*, 4>;  // by Stage, encode..decode

  static StageCounters CountersByStage(prometheus::Family<prometheus::Counter>& family);

  prometheus::Histogram& DurationOf(Stage stage, const std::string& size);

  const prometheus::Histogram::BucketBoundaries duration_bounds_;
  prometheus::Family<prometheus::Histogram>& duration_;
  prometheus::Histogram& rows_;
  const StageCounters steps_;
  const StageCounters out_of_memory_;
  const StageCounters splits_;
  prometheus::Counter& caps_raised_;
  prometheus::Family<prometheus::Counter>& close_reasons_;
  std::array<prometheus::Counter*, kNotMergedReasons> not_merged_ = {};
  std::atomic<int> latent_scale_ = 8;
};

// Why a batch was not larger, from StepRecord::not_merged: "complete" when no generation was left out, else
// the limit that left one out ("row_limit", "pixel_limit", "memory_limit", "row_cap", the first of them),
// else "other_key".
const char* BatchCloseReason(const std::array<int, kNotMergedReasons>& not_merged);

// The edge in pixels of the smallest square, out of a short list, that holds `key`'s image, e.g. "512";
// "none" for stages without a spatial size. Bounds the number of label values. `latent_scale`: pixels per
// latent cell and side.
std::string SizeLabel(const BatchKey& key, int latent_scale);

}  // namespace kandinsky::server
