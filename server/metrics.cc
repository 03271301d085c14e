#include "server/metrics.h"

#include <grpcpp/grpcpp.h>
#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "server/error_kinds.h"
#include "server/metric_families.h"
#include "server/process_metrics.h"
#include "server/result_encoding.h"

namespace kandinsky::server {
namespace {

constexpr double kShortestCall = 0.005;

constexpr Stage kTimedStages[] = {Stage::kEncode, Stage::kPrior, Stage::kDenoise, Stage::kDecode};

// The labels of grpc_server_* metrics, as the other gRPC implementations' interceptors have them.
prometheus::Labels GrpcLabels(const RpcMethod& method) {
  return {{"grpc_service", method.service}, {"grpc_method", method.name}, {"grpc_type", method.type}};
}

// "INVALID_ARGUMENT" -> "InvalidArgument": what common dashboards and alerts match.
std::string GrpcCodeLabel(const std::string& code) {
  if (code == "OK") return code;
  if (code == "CANCELLED") return "Canceled";
  std::string label;
  bool word_begins = true;
  for (const char character : code) {
    if (character != '_')
      label += word_begins ? character : absl::ascii_tolower(static_cast<unsigned char>(character));
    word_begins = character == '_';
  }
  return label;
}

}  // namespace

Metrics::Metrics(std::function<ServingSnapshot()> snapshot, absl::Duration longest_call)
    : seconds_(SecondsBuckets(kShortestCall, absl::ToDoubleSeconds(longest_call))),
      registry_(std::make_shared<prometheus::Registry>()),
      snapshot_(std::move(snapshot)),
      requests_(AddCounters(*registry_, "kandinsky_requests_total",
                            "Finished calls by method, status code and error reason")),
      request_duration_(
          AddHistograms(*registry_, "kandinsky_request_duration_seconds", "Arrival of a call to its status")),
      grpc_started_(AddCounters(*registry_, "grpc_server_started_total", "Calls that have come")),
      grpc_handled_(AddCounters(*registry_, "grpc_server_handled_total", "Calls that have ended")),
      grpc_handling_(
          AddHistograms(*registry_, "grpc_server_handling_seconds", "Arrival of a call to its status")),
      queue_wait_(AddHistograms(*registry_, "kandinsky_queue_wait_seconds",
                                "Arrival of a request to its start, or to its end when it never started")
                      .Add({}, seconds_)),
      first_event_(AddHistograms(*registry_, "kandinsky_first_event_seconds",
                                 "Arrival of a request to its first event")
                       .Add({}, seconds_)),
      first_image_(AddHistograms(*registry_, "kandinsky_first_image_seconds",
                                 "Arrival of a request to its first whole image")
                       .Add({}, seconds_)),
      stage_duration_(AddHistograms(*registry_, "kandinsky_stage_duration_seconds",
                                    "Time of a request in batched steps of a stage")),
      images_(AddCounters(*registry_, "kandinsky_images_total", "Images ready to be sent")),
      rejected_images_(AddCounters(*registry_, "kandinsky_image_decode_rejected_total",
                                   "Images of requests that could not be read")),
      model_info_(AddGauges(*registry_, "kandinsky_model_info", "The loaded model; always 1")),
      model_load_(
          AddGauges(*registry_, "kandinsky_model_load_seconds", "How long loading the model took").Add({})),
      weight_bytes_(
          AddGauges(*registry_, "kandinsky_weights_loaded_bytes", "Size of the model's weights").Add({})),
      steps_(*registry_, longest_call) {
  AddGauges(*registry_, "kandinsky_build_info", "The running program; always 1")
      .Add({{"version", KANDINSKY_VERSION}, {"grpc", grpc::Version()}})
      .Set(1);
  for (const Stage stage : kTimedStages) stage_duration_.Add({{"stage", StageName(stage)}}, seconds_);
  const auto* formats = v1::OutputFormat_descriptor();
  for (int i = 0; i < formats->value_count(); ++i) {
    images_.Add({{"format", FormatName(static_cast<v1::OutputFormat>(formats->value(i)->number()))}});
  }
  for (const char* fault : kImageFaults) rejected_images_.Add({{"reason", fault}});
}

void Metrics::AddMethod(const RpcMethod& method) {
  requests_.Add({{"method", method.name}, {"code", "OK"}, {"reason", ""}});
  for (const ErrorKind& kind : ErrorKinds()) {
    requests_.Add({{"method", method.name}, {"code", StatusCodeName(kind.code)}, {"reason", kind.reason}});
  }
  request_duration_.Add({{"method", method.name}}, seconds_);
  prometheus::Labels labels = GrpcLabels(method);
  grpc_started_.Add(labels);
  grpc_handling_.Add(labels, seconds_);
  for (int code = grpc::StatusCode::OK; code <= grpc::StatusCode::UNAUTHENTICATED; ++code) {
    labels["grpc_code"] = GrpcCodeLabel(StatusCodeName(static_cast<grpc::StatusCode>(code)));
    grpc_handled_.Add(labels);
  }
}

void Metrics::RecordStarted(const RpcMethod& method) { grpc_started_.Add(GrpcLabels(method)).Increment(); }

void Metrics::RecordRequest(const RpcMethod& method, const char* code, const std::string& reason,
                            absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  requests_.Add({{"method", method.name}, {"code", code}, {"reason", reason}}).Increment();
  request_duration_.Add({{"method", method.name}}, seconds_).Observe(seconds);
  prometheus::Labels labels = GrpcLabels(method);
  grpc_handling_.Add(labels, seconds_).Observe(seconds);
  labels["grpc_code"] = GrpcCodeLabel(code);
  grpc_handled_.Add(labels).Increment();
}

void Metrics::RecordFirstEvent(absl::Duration after_arrival) {
  first_event_.Observe(absl::ToDoubleSeconds(after_arrival));
}

void Metrics::RecordFirstImage(absl::Duration after_arrival) {
  first_image_.Observe(absl::ToDoubleSeconds(after_arrival));
}

void Metrics::RecordGeneration(const GenerationStatistics& statistics) {
  queue_wait_.Observe(absl::ToDoubleSeconds(statistics.queued));
  for (const Stage stage : kTimedStages) {
    const absl::Duration duration = statistics.stage_durations[static_cast<size_t>(stage)];
    if (duration == absl::ZeroDuration()) continue;  // never got there
    stage_duration_.Add({{"stage", StageName(stage)}}, seconds_).Observe(absl::ToDoubleSeconds(duration));
  }
}

void Metrics::RecordImage(const char* format) { images_.Add({{"format", format}}).Increment(); }

void Metrics::RecordRejectedImage(const char* reason) {
  rejected_images_.Add({{"reason", reason}}).Increment();
}

void Metrics::RecordRejectedImages(const std::vector<FieldViolation>& violations) {
  for (const FieldViolation& violation : violations) {
    if (violation.image_fault != nullptr) RecordRejectedImage(violation.image_fault);
  }
}

void Metrics::SetModel(const Capabilities& capabilities, absl::Duration load_time) {
  model_info_
      .Add({{"name", capabilities.model_name},
            {"family", capabilities.family},
            {"networks", NetworkNames(capabilities)},
            {"device", capabilities.device},
            {"dtype", capabilities.dtype}})
      .Set(1);
  model_load_.Set(absl::ToDoubleSeconds(load_time));
  weight_bytes_.Set(static_cast<double>(capabilities.weight_bytes));
  steps_.SetLatentScale(capabilities.latent_scale);
}

std::string Metrics::Text() const {
  // The snapshot first: it may count what the registry shows.
  std::vector<prometheus::MetricFamily> families = CollectServingMetrics(snapshot_());
  for (auto&& more : {CollectProcessMetrics(), registry_->Collect()}) {
    families.insert(families.end(), more.begin(), more.end());
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace kandinsky::server
