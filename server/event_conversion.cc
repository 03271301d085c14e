#include "server/event_conversion.h"

#include <bit>
#include <cstring>
#include <utility>

#include "server/error_details.h"

namespace kandinsky::server {
namespace {

constexpr Stage kTimedStages[] = {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode};

}  // namespace

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  absl::Duration rest;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return proto;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  const google::protobuf::Duration since_epoch = ToProto(time - absl::UnixEpoch());
  google::protobuf::Timestamp proto;
  proto.set_seconds(since_epoch.seconds());
  proto.set_nanos(since_epoch.nanos());
  return proto;
}

v1::Priority ToProto(Priority priority) {
  switch (priority) {
    case Priority::kLow:
      return v1::PRIORITY_LOW;
    case Priority::kHigh:
      return v1::PRIORITY_HIGH;
    case Priority::kNormal:
      break;
  }
  return v1::PRIORITY_NORMAL;
}

v1::Stage ToProto(Stage stage) {
  switch (stage) {
    case Stage::kEncode:
      return v1::STAGE_ENCODE;
    case Stage::kPrior:
      return v1::STAGE_PRIOR;
    case Stage::kDenoise:
      return v1::STAGE_DENOISE;
    case Stage::kDecode:
      return v1::STAGE_DECODE;
    case Stage::kDone:
      break;
  }
  return v1::STAGE_UNSPECIFIED;
}

v1::QueuedEvent ToProto(const QueueStatus& status, const std::string& request_id) {
  v1::QueuedEvent event;
  event.set_request_id(request_id);
  event.set_position(status.position);
  if (status.estimated_wait > absl::ZeroDuration())
    *event.mutable_estimated_wait() = ToProto(status.estimated_wait);
  return event;
}

v1::StartedEvent ToProto(const StartedInfo& info) {
  v1::StartedEvent event;
  event.set_worker(info.worker);
  event.set_device(info.device);
  return event;
}

v1::ProgressEvent ToProto(const ProgressUpdate& update) {
  v1::ProgressEvent event;
  event.set_image_index(update.image_index);
  event.set_stage(ToProto(update.progress.stage));
  event.set_step(update.progress.step);
  event.set_total_steps(update.progress.total_steps);
  event.set_batch_rows(update.batch_rows);
  if (update.estimated_remaining > absl::ZeroDuration()) {
    *event.mutable_estimated_remaining() = ToProto(update.estimated_remaining);
  }
  return event;
}

v1::FloatTensor ToProto(const FloatTensor& tensor) {
  static_assert(std::endian::native == std::endian::little, "the wire format is little-endian");
  v1::FloatTensor proto;
  for (const int64_t size : tensor.shape) proto.add_shape(static_cast<int32_t>(size));
  proto.set_data(tensor.values.data(), tensor.values.size() * sizeof(float));
  return proto;
}

void AddStatistics(const GenerationStatistics& statistics, v1::GenerationSummary& summary) {
  v1::GenerationTimings& timings = *summary.mutable_timings();
  *timings.mutable_queued() = ToProto(statistics.queued);
  *timings.mutable_total() = ToProto(statistics.total);
  for (const Stage stage : kTimedStages) {
    v1::StageTiming& timing = *timings.add_stages();
    timing.set_stage(ToProto(stage));
    *timing.mutable_duration() = ToProto(statistics.stage_durations[static_cast<size_t>(stage)]);
  }
  v1::BatchStatistics& batch = *summary.mutable_batch();
  batch.set_steps(statistics.steps);
  batch.set_max_rows(statistics.max_batch_rows);
  batch.set_mean_rows(statistics.mean_batch_rows);
  for (size_t reason = 0; reason < kNotMergedReasons; ++reason) {
    if (statistics.not_merged_steps[reason] == 0) continue;
    v1::NotMerged& not_merged = *batch.add_not_merged();
    not_merged.set_reason(NotMergedReasonName(static_cast<NotMergedReason>(reason)));
    not_merged.set_steps(statistics.not_merged_steps[reason]);
  }
  AddTruncations(statistics.prompt_tokens, *summary.mutable_truncations());
}

void AddTruncations(const std::vector<PromptTokens>& prompts,
                    google::protobuf::RepeatedPtrField<v1::PromptTruncation>& truncations) {
  for (const PromptTokens& prompt : prompts) {
    if (prompt.kept_tokens >= prompt.tokens) continue;
    v1::PromptTruncation& truncation = *truncations.Add();
    truncation.set_field(prompt.field);
    truncation.set_tokens(prompt.tokens);
    truncation.set_kept_tokens(prompt.kept_tokens);
  }
}

void AddEstimate(const Engine::Estimate& estimate, v1::GenerationSummary& summary) {
  if (estimate.wait > absl::ZeroDuration()) *summary.mutable_estimated_wait() = ToProto(estimate.wait);
  if (estimate.work > absl::ZeroDuration()) *summary.mutable_estimated_work() = ToProto(estimate.work);
}

v1::GenerationSummary MakeSummary(const ValidatedRequest& request, const std::string& model) {
  v1::GenerationSummary summary;
  summary.set_request_id(request.request_id);
  summary.set_model(model);
  for (const GenerationRequest& image : request.images) summary.add_seeds(image.seed);
  return summary;
}

v1::GenerationError ToGenerationError(const grpc::Status& status) {
  v1::GenerationError error;
  error.set_code(static_cast<int32_t>(status.error_code()));
  error.set_reason(ErrorReason(status));
  error.set_message(status.error_message());
  return error;
}

}  // namespace kandinsky::server
