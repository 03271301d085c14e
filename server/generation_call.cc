#include "server/generation_call.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/logging.h"
#include "server/event_conversion.h"
#include "server/exception_guard.h"
#include "server/wire.h"

namespace kandinsky {
namespace {

// Below 2^32, so that every JSON number and every tool takes it.
uint64_t DrawSeed() { return std::random_device()() & 0xFFFFFFFFu; }

}  // namespace

GenerationCall::GenerationCall(const CallContext& context, const char* method, ReplyKind reply)
    : context_(context),
      method_(method),
      reply_(reply),
      live_call_(context.serving),
      arrival_(context.clock.Now()) {}

void GenerationCall::Start(const grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& request_bytes) {
  std::optional<grpc::Status> end;
  GuardExceptions([&] { end = Submit(rpc, request_bytes); },
                  [&](const std::string& cause) { end = InternalError(cause); });
  if (end.has_value()) Conclude(*end);
}

std::optional<grpc::Status> GenerationCall::Submit(const grpc::CallbackServerContext& rpc,
                                                   const grpc::ByteBuffer& bytes) {
  v1::GenerateRequest request;
  if (!ParseMessage(bytes, request)) return MalformedRequestError();
  grpc::Status refusal;
  Engine* const engine = context_.serving.EngineForNewWork(refusal);
  if (engine == nullptr) return refusal;

  const Capabilities& capabilities = engine->capabilities();
  auto checked = ValidateGenerateRequest(
      request, {.limits = context_.limits, .capabilities = capabilities, .reply = reply_}, DrawSeed);
  if (const auto* violations = std::get_if<std::vector<FieldViolation>>(&checked)) {
    return InvalidRequestError(*violations);
  }
  if (!request.model().empty() && request.model() != capabilities.model_name) {
    return NotFoundError("model", request.model());
  }
  ValidatedRequest& validated = std::get<ValidatedRequest>(checked);
  request_id_ = validated.request_id;
  format_ = validated.format;
  first_image_ = validated.images.front();
  image_count_ = static_cast<int>(validated.images.size());
  summary_ = MakeSummary(validated, capabilities.model_name);
  deadline_ = DeadlineOf(rpc);
  if (validated.validate_only) return grpc::Status::OK;

  const absl::Status submitted = engine->Submit(
      {.id = request_id_, .images = std::move(validated.images), .deadline = deadline_}, shared_from_this());
  if (!submitted.ok()) return SubmitError(submitted, *engine);
  MutexLock lock(mutex_);
  submitted_ = true;
  return std::nullopt;
}

absl::Time GenerationCall::DeadlineOf(const grpc::CallbackServerContext& rpc) const {
  // Not rpc.deadline(): a deadline centuries away overflows its nanoseconds and would lie in the past.
  const gpr_timespec given = gpr_convert_clock_type(rpc.raw_deadline(), GPR_CLOCK_REALTIME);
  if (gpr_time_cmp(given, gpr_inf_future(GPR_CLOCK_REALTIME)) == 0) {
    return arrival_ + absl::Seconds(context_.limits.default_deadline_seconds());
  }
  const absl::Duration left =
      absl::FromUnixSeconds(given.tv_sec) + absl::Nanoseconds(given.tv_nsec) - absl::Now();
  return arrival_ + std::min(left, absl::Seconds(context_.limits.max_deadline_seconds()));
}

grpc::Status GenerationCall::SubmitError(const absl::Status& status, const Engine& engine) const {
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:
      return RequestIdInUseError(request_id_);
    case absl::StatusCode::kResourceExhausted:
      return QueueFullError(engine.EstimateWait());
    case absl::StatusCode::kDeadlineExceeded:
      return DeadlineExceededError("queued");
    case absl::StatusCode::kUnavailable:
      return UnavailableError("SHUTTING_DOWN", "the server is shutting down", absl::Seconds(1));
    default:
      return GenerationError(status);
  }
}

void GenerationCall::Abandon() {
  {
    MutexLock lock(mutex_);
    abandoned_ = true;
    // What the engine never took from this call may be running for another one with the same id.
    if (!submitted_ || engine_status_.has_value()) return;
  }
  Engine* const engine = context_.serving.engine();
  // An error only says that the request has ended meanwhile.
  if (engine != nullptr) engine->Cancel(request_id_).IgnoreError();
}

void GenerationCall::OnQueued(const QueueStatus& status) {
  v1::GenerateEvent event;
  *event.mutable_queued() = ToProto(status, request_id_);
  DeliverGuarded(std::move(event));
}

void GenerationCall::OnStarted(const StartedInfo& info) {
  {
    MutexLock lock(mutex_);
    started_ = true;
  }
  v1::GenerateEvent event;
  *event.mutable_started() = ToProto(info);
  DeliverGuarded(std::move(event));
}

void GenerationCall::OnProgress(const ProgressUpdate& update) {
  v1::GenerateEvent event;
  *event.mutable_progress() = ToProto(update);
  DeliverGuarded(std::move(event));
}

void GenerationCall::OnImage(FinishedImage image) {
  {
    MutexLock lock(mutex_);
    ++missing_results_;
  }
  auto shared = std::make_shared<FinishedImage>(std::move(image));
  auto task = [self = shared_from_this(), shared] { self->Encode(std::move(*shared)); };
  // With a full codec queue the worker encodes itself: images are never dropped, and the work that makes more
  // of them is what has to slow down.
  if (!context_.codec.TrySchedule(task)) task();
}

void GenerationCall::OnFinished(const absl::Status& status, const GenerationStatistics& statistics) {
  GuardExceptions(
      [&] {
        AddStatistics(statistics, summary_);
        queued_ = statistics.queued;
        context_.metrics.RecordGeneration(statistics);
      },
      [&](const std::string& cause) { Fail(cause); });
  {
    MutexLock lock(mutex_);
    engine_status_ = status;
  }
  ResultCame();
}

void GenerationCall::Encode(FinishedImage image) {
  GuardExceptions(
      [&] {
        {
          MutexLock lock(mutex_);
          if (abandoned_) return;
        }
        absl::StatusOr<v1::GeneratedImage> encoded = EncodeResult(std::move(image), first_image_, format_);
        if (!encoded.ok()) {
          Fail(encoded.status().ToString());
          return;
        }
        context_.metrics.RecordImage(FormatName(format_));
        v1::GenerateEvent event;
        *event.mutable_image() = *std::move(encoded);
        Deliver(std::move(event));
      },
      [&](const std::string& cause) { Fail(cause); });
  ResultCame();
}

void GenerationCall::DeliverGuarded(v1::GenerateEvent event) {
  GuardExceptions([&] { Deliver(std::move(event)); }, [&](const std::string& cause) { Fail(cause); });
}

void GenerationCall::Fail(const std::string& cause) {
  const grpc::Status error = InternalError(cause);
  MutexLock lock(mutex_);
  if (!failure_.has_value()) failure_ = error;
}

void GenerationCall::ResultCame() {
  {
    MutexLock lock(mutex_);
    if (--missing_results_ > 0) return;
  }
  Conclude(FinalStatus());
}

grpc::Status GenerationCall::FinalStatus() {
  absl::Status status;
  const char* phase = "queued";
  bool abandoned = false;
  {
    MutexLock lock(mutex_);
    if (failure_.has_value()) return *failure_;
    status = *engine_status_;
    if (started_) phase = "running";
    abandoned = abandoned_;
  }
  // The client's clock for its deadline started before the request arrived, and gRPC rounds the timeout on
  // the wire up by as much as a hundredth: a client gives up a little before the server's deadline.
  const absl::Duration tolerance = (deadline_ - arrival_) / 100 + absl::Milliseconds(10);
  const bool late = context_.clock.Now() >= deadline_ - tolerance;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return grpc::Status::OK;
    case absl::StatusCode::kDeadlineExceeded:
      return DeadlineExceededError(phase);
    case absl::StatusCode::kCancelled:
      // gRPC cancels a call whose deadline has passed, mostly before the engine's deadline.
      if (abandoned && late) return DeadlineExceededError(phase);
      return CancelledError(!abandoned && context_.serving.state() == ServingState::State::kRefusing);
    default:
      return GenerationError(status);
  }
}

void GenerationCall::Conclude(const grpc::Status& status) {
  const std::string reason = ErrorReason(status);
  const absl::Duration duration = context_.clock.Now() - arrival_;
  GuardExceptions(
      [&] {
        context_.metrics.RecordRequest(method_, StatusCodeName(status.error_code()), reason, duration);
        LogEnd(status, reason, duration);
      },
      [](const std::string&) {});
  Close(status, std::move(summary_));
}

void GenerationCall::LogEnd(const grpc::Status& status, const std::string& reason,
                            absl::Duration duration) const {
  Log(LogLevel::kInfo, "request",
      {{"method", method_},
       {"code", StatusCodeName(status.error_code())},
       {"reason", reason},
       {"request_id", request_id_},
       {"duration_ms", absl::ToDoubleMilliseconds(duration)},
       {"queue_ms", absl::ToDoubleMilliseconds(queued_)},
       {"size", image_count_ == 0 ? "" : absl::StrCat(first_image_.width, "x", first_image_.height)},
       {"steps", int64_t{image_count_ == 0 ? 0 : first_image_.steps}},
       {"images", int64_t{image_count_}}});
}

}  // namespace kandinsky
