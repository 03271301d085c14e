#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <grpcpp/support/status.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "scheduler/engine.h"
#include "scheduler/engine_types.h"
#include "scheduler/generation_observer.h"
#include "server/request_validation.h"

namespace kandinsky::server {

// From the engine's native types to wire messages.

google::protobuf::Duration ToProto(absl::Duration duration);
google::protobuf::Timestamp ToProto(absl::Time time);
v1::Priority ToProto(Priority priority);
v1::Stage ToProto(Stage stage);
v1::QueuedEvent ToProto(const QueueStatus& status, const std::string& request_id);
v1::StartedEvent ToProto(const StartedInfo& info);
v1::ProgressEvent ToProto(const ProgressUpdate& update);
v1::FloatTensor ToProto(const FloatTensor& tensor);

// Adds timings, batching, what kept steps from being shared, and truncated prompts to a summary.
void AddStatistics(const GenerationStatistics& statistics, v1::GenerationSummary& summary);

// Adds those of the prompts that were cut.
void AddTruncations(const std::vector<PromptTokens>& prompts,
                    google::protobuf::RepeatedPtrField<v1::PromptTruncation>& truncations);

// Adds the times that were measured to a summary.
void AddEstimate(const Engine::Estimate& estimate, v1::GenerationSummary& summary);

// The part of a summary that is known before the work: id, model and seeds.
v1::GenerationSummary MakeSummary(const ValidatedRequest& request, const std::string& model);

// What a call that ended with `status` got.
v1::GenerationError ToGenerationError(const grpc::Status& status);

}  // namespace kandinsky::server
