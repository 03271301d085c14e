#include "server/step_metrics.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/metric_families.h"

namespace kandinsky::server {
namespace {

using prometheus::Histogram;

// Steps of a GPU last milliseconds, those of a CPU minutes.
constexpr double kShortestStep = 0.001;
const Histogram::BucketBoundaries kRows = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256};
constexpr int kSizes[] = {256, 512, 768, 1024, 1536, 2048};
constexpr char kNoSize[] = "none";
constexpr char kLargerSize[] = "larger";
constexpr char kComplete[] = "complete";
constexpr char kOtherKey[] = "other_key";

// Limits that leave generations out which could have joined.
constexpr NotMergedReason kLimits[] = {NotMergedReason::kRowLimit, NotMergedReason::kPixelLimit,
                                       NotMergedReason::kMemoryLimit, NotMergedReason::kRowCap};

}  // namespace

StepMetrics::StepMetrics(prometheus::Registry& registry, absl::Duration longest)
    : duration_bounds_(SecondsBuckets(kShortestStep, absl::ToDoubleSeconds(longest))),
      duration_(AddHistograms(registry, "kandinsky_step_duration_seconds", "Duration of one batched step")),
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
  // The rest of what may come, so that every series begins at zero.
  for (const NotMergedReason limit : kLimits) close_reasons_.Add({{"reason", NotMergedReasonName(limit)}});
  for (const char* reason : {kComplete, kOtherKey}) close_reasons_.Add({{"reason", reason}});
  for (const Stage stage : {Stage::kEncode, Stage::kPrior}) DurationOf(stage, kNoSize);
  for (const Stage stage : {Stage::kEncode, Stage::kDenoise, Stage::kDecode}) {
    for (const int size : kSizes) DurationOf(stage, absl::StrCat(size));
    DurationOf(stage, kLargerSize);
  }
}

prometheus::Histogram& StepMetrics::DurationOf(Stage stage, const std::string& size) {
  return duration_.Add({{"stage", StageName(stage)}, {"size", size}}, duration_bounds_);
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
  DurationOf(step.key.stage, SizeLabel(step.key, latent_scale_))
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
    if (not_merged[i] > 0 && static_cast<NotMergedReason>(i) != NotMergedReason::kAlone) return kOtherKey;
  }
  return kComplete;
}

std::string SizeLabel(const BatchKey& key, int latent_scale) {
  const int64_t area = int64_t{key.latent_height} * key.latent_width * latent_scale * latent_scale;
  if (area == 0) return kNoSize;
  for (const int size : kSizes) {
    if (area <= int64_t{size} * size) return absl::StrCat(size);
  }
  return kLargerSize;
}

}  // namespace kandinsky::server
