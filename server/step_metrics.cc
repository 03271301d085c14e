#include "server/step_metrics.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/metric_families.h"

namespace kandinsky {
namespace {

using prometheus::Histogram;

// Steps of a GPU last milliseconds, those of a CPU minutes.
const Histogram::BucketBoundaries kStepSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                  1,     2.5,    5,     10,   25,    50,   100, 200,  300};
const Histogram::BucketBoundaries kRows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256};
constexpr int kSizes[] = {256, 512, 768, 1024, 1536, 2048};

// Limits that leave generations out which could have joined.
constexpr NotMergedReason kLimits[] = {NotMergedReason::kRowLimit, NotMergedReason::kPixelLimit,
                                       NotMergedReason::kMemoryLimit, NotMergedReason::kRowCap};

}  // namespace

StepMetrics::StepMetrics(prometheus::Registry& registry)
    : duration_(AddHistograms(registry, "kandinsky_step_duration_seconds", "Duration of one batched step")),
      rows_(AddHistograms(registry, "kandinsky_batch_rows", "Images that shared a step").Add({}, kRows)),
      steps_(CountersByStage(
          AddCounters(registry, "kandinsky_steps_total", "Batched steps, failed ones included"))),
      out_of_memory_(
          CountersByStage(AddCounters(registry, "kandinsky_oom_total", "Steps that ran out of memory"))),
      splits_(CountersByStage(AddCounters(registry, "kandinsky_batch_split_total",
                                          "Batches that were split because memory ran out"))),
      caps_raised_(AddCounters(registry, "kandinsky_memory_cap_raised_total",
                               "Times that a cap on the images of a batch was raised again")
                       .Add({})),
      close_reasons_(AddCounters(registry, "kandinsky_batch_close_reason_total",
                                 "Batched steps by what kept the batch from being larger")) {
  auto& reasons =
      AddCounters(registry, "kandinsky_not_merged_reason_total",
                  "Images that were left out of a step, by reason; alone: steps without another image");
  for (size_t i = 0; i < kNotMergedReasons; ++i) {
    not_merged_[i] = &reasons.Add({{"reason", NotMergedReasonName(static_cast<NotMergedReason>(i))}});
  }
}

StepMetrics::StageCounters StepMetrics::CountersByStage(prometheus::Family<prometheus::Counter>& family) {
  StageCounters counters = {};
  for (size_t i = 0; i < counters.size(); ++i) {
    counters[i] = &family.Add({{"stage", StageName(static_cast<Stage>(i))}});
  }
  return counters;
}

void StepMetrics::Record(const StepRecord& step) {
  const size_t stage = static_cast<size_t>(step.key.stage);
  duration_
      .Add({{"stage", StageName(step.key.stage)}, {"size", SizeLabel(step.key, latent_scale_)}}, kStepSeconds)
      .Observe(absl::ToDoubleSeconds(step.duration));
  rows_.Observe(step.rows);
  steps_.at(stage)->Increment();
  if (absl::IsResourceExhausted(step.status)) {
    out_of_memory_.at(stage)->Increment();
    if (step.rows > 1) splits_.at(stage)->Increment();
  }
  if (step.cap_raised) caps_raised_.Increment();
  close_reasons_.Add({{"reason", BatchCloseReason(step.not_merged)}}).Increment();
  for (size_t i = 0; i < kNotMergedReasons; ++i) {
    if (step.not_merged[i] > 0) not_merged_[i]->Increment(step.not_merged[i]);
  }
}

const char* BatchCloseReason(const std::array<int, kNotMergedReasons>& not_merged) {
  for (const NotMergedReason limit : kLimits) {
    if (not_merged[static_cast<size_t>(limit)] > 0) return NotMergedReasonName(limit);
  }
  for (size_t i = 0; i < kNotMergedReasons; ++i) {
    if (not_merged[i] > 0 && static_cast<NotMergedReason>(i) != NotMergedReason::kAlone) return "other_key";
  }
  return "complete";
}

std::string SizeLabel(const BatchKey& key, int latent_scale) {
  const int64_t area = int64_t{key.latent_height} * key.latent_width * latent_scale * latent_scale;
  if (area == 0) return "none";
  for (const int size : kSizes) {
    if (area <= int64_t{size} * size) return absl::StrCat(size);
  }
  return "larger";
}

}  // namespace kandinsky
