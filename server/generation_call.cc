#include "server/generation_call.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <random>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/call_metadata.h"
#include "server/event_conversion.h"
#include "server/exception_guard.h"
#include "server/generation_store.h"
#include "server/wire.h"

namespace kandinsky {
namespace {

// What a call gets on top of its deadline to write what is ready.
constexpr absl::Duration kWriteGrace = absl::Seconds(1);

// Below 2^32, so that every JSON number and every tool takes it.
uint64_t DrawSeed() { return std::random_device()() & 0xFFFFFFFFu; }

// The same bytes for the same request, whatever its id and whether it is only to be checked.
std::string BodyOf(v1::GenerateRequest request) {
  request.clear_request_id();
  request.clear_validate_only();
  std::string body;
  {
    google::protobuf::io::StringOutputStream stream(&body);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return body;
}

EngineRequest ToEngineRequest(const GenerationSpec& spec, ValidatedRequest validated) {
  return {.images = std::move(validated.images),
          .client = spec.client,
          .priority = spec.priority,
          .deadline = spec.deadline};
}

}  // namespace

GenerationCall::GenerationCall(const CallContext& context, const char* method, ReplyKind reply,
                               grpc::CallbackServerContext& rpc)
    : context_(context),
      method_(method),
      reply_(reply),
      rpc_(rpc),
      live_call_(context.serving),
      arrival_(context.clock.Now()) {
  context.metrics.RecordStarted(method);
}

void GenerationCall::Start(const grpc::ByteBuffer& request_bytes) {
  std::optional<grpc::Status> status;
  GuardExceptions([&] { status = Begin(request_bytes); },
                  [&](const std::string& cause) { status = InternalError(cause); });
  if (!status.has_value()) return;
  GenerationEnd end;
  end.status = *status;
  end.summary = checked_;
  Conclude(end);
}

std::optional<grpc::Status> GenerationCall::Begin(const grpc::ByteBuffer& bytes) {
  v1::GenerateRequest request;
  if (!ParseMessage(bytes, request)) return MalformedRequestError();
  const std::optional<std::string> client = ClientIdOf(rpc_);
  if (!client.has_value()) return InvalidClientIdError();
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
  first_image_ = validated.images.front();
  image_count_ = static_cast<int>(validated.images.size());
  deadline_ = DeadlineOf(rpc_, arrival_, context_.limits);
  GenerationSpec spec = MakeSpec(request, validated, capabilities.model_name);
  spec.client = *client;
  if (validated.validate_only) return CheckOnly(spec, std::move(validated), *engine);
  return JoinOrSubmit(std::move(spec), std::move(validated), static_cast<int64_t>(bytes.Length()), *engine);
}

GenerationSpec GenerationCall::MakeSpec(const v1::GenerateRequest& request, const ValidatedRequest& validated,
                                        const std::string& model) const {
  const absl::Time longest = arrival_ + absl::Seconds(context_.limits.max_deadline_seconds());
  return {.client = "",
          .request_id = validated.request_id,
          .body = request.has_request_id() ? BodyOf(request) : "",
          .detach = validated.detach,
          .priority = validated.priority,
          .format = validated.format,
          .first_image = validated.images.front(),
          .image_count = static_cast<int>(validated.images.size()),
          .arrival = arrival_,
          .deadline = validated.detach ? longest : deadline_,
          .summary = MakeSummary(validated, model)};
}

grpc::Status GenerationCall::CheckOnly(const GenerationSpec& spec, ValidatedRequest validated,
                                       const Engine& engine) {
  if (context_.store.Meet(spec).match == GenerationStore::Match::kConflict) {
    return RequestIdInUseError(request_id_);
  }
  checked_ = spec.summary;
  AddEstimate(engine.EstimateTimes(ToEngineRequest(spec, std::move(validated))), checked_);
  return grpc::Status::OK;
}

std::optional<grpc::Status> GenerationCall::JoinOrSubmit(GenerationSpec spec, ValidatedRequest validated,
                                                         int64_t message_bytes, Engine& engine) {
  const absl::Time wanted = spec.deadline;
  const auto candidate = std::make_shared<GenerationRecord>(context_, std::move(spec), shared_from_this());
  for (;;) {
    const auto [match, record] = context_.store.FindOrAdd(candidate);
    if (match == GenerationStore::Match::kConflict) return RequestIdInUseError(request_id_);
    {
      MutexLock lock(mutex_);
      record_ = record;
    }
    if (match == GenerationStore::Match::kNone) break;
    if (!record->Attach(shared_from_this(), wanted)) continue;  // it has died meanwhile
    WatchDeadline();
    return std::nullopt;
  }
  GuardExceptions([&] { Submit(candidate, std::move(validated), message_bytes, engine); },
                  [&](const std::string& cause) { candidate->Refused(InternalError(cause)); });
  WatchDeadline();
  return std::nullopt;
}

void GenerationCall::Submit(const std::shared_ptr<GenerationRecord>& record, ValidatedRequest validated,
                            int64_t message_bytes, Engine& engine) {
  const GenerationSpec& spec = record->spec();
  const int64_t bytes = message_bytes + spec.image_count * ResultBytes(spec.format, spec.first_image.width,
                                                                       spec.first_image.height);
  EngineRequest request = ToEngineRequest(spec, std::move(validated));
  std::optional<ByteBudget::Reservation> reservation = Reserve(bytes);
  if (!reservation.has_value()) {
    const bool fits_alone = bytes <= context_.budget.limit();
    record->Refused(
        BytesInFlightError(fits_alone ? std::optional(engine.EstimateTimes(request).wait) : std::nullopt));
    return;
  }
  record->Hold(*std::move(reservation));
  const Submission submission = engine.Submit(std::move(request), record);
  if (submission.status.ok()) {
    record->Accepted(engine, submission);
  } else {
    record->Refused(RefusalError(submission));
  }
}

std::optional<ByteBudget::Reservation> GenerationCall::Reserve(int64_t bytes) {
  for (;;) {
    auto reservation = context_.budget.TryReserve(bytes);
    // Results of the past give way to new work.
    if (reservation.has_value() || !context_.store.EvictOldest()) return reservation;
  }
}

void GenerationCall::SetTimer(absl::Time time, void (GenerationCall::*callback)()) {
  MutexLock lock(mutex_);
  if (rpc_done_) return;
  timer_time_ = time;
  timer_ = context_.timer.At(time, [call = weak_from_this(), callback] {
    if (const auto self = call.lock()) ((*self).*callback)();
  });
}

void GenerationCall::WatchDeadline() { SetTimer(deadline_, &GenerationCall::OnDeadline); }

void GenerationCall::OnDeadline() {
  std::shared_ptr<GenerationRecord> record;
  {
    MutexLock lock(mutex_);
    record = record_;
  }
  // Where the work has the same deadline the engine ends it.
  if (record->deadline() > deadline_) Leave(/*late=*/true);
  SetTimer(context_.clock.Now() + kWriteGrace, &GenerationCall::OnWriteTimeout);
}

void GenerationCall::OnWriteTimeout() {
  MutexLock lock(mutex_);
  if (!rpc_done_) rpc_.TryCancel();
}

void GenerationCall::Abandon() { Leave(IsLate(context_.clock.Now(), arrival_, deadline_)); }

void GenerationCall::Leave(bool late) {
  std::shared_ptr<GenerationRecord> record;
  {
    MutexLock lock(mutex_);
    record = record_;
  }
  if (record == nullptr || !record->Detach(*this)) return;
  GenerationEnd end;
  end.status = late ? DeadlineExceededError(record->started() ? "running" : "queued")
                    : CancelledError(/*by_shutdown=*/false);
  Conclude(end);
}

void GenerationCall::RpcDone() {
  Abandon();  // in case that it failed before its work ended
  MutexLock lock(mutex_);
  rpc_done_ = true;
  if (timer_ != 0) context_.timer.Cancel(timer_time_, timer_);
}

void GenerationCall::OnEnd(const GenerationEnd& end) { Conclude(end); }

void GenerationCall::Conclude(const GenerationEnd& end) {
  {
    MutexLock lock(mutex_);
    if (std::exchange(concluded_, true)) return;
  }
  const std::string reason = ErrorReason(end.status);
  const absl::Duration duration = context_.clock.Now() - arrival_;
  GuardExceptions(
      [&] {
        context_.metrics.RecordRequest(method_, StatusCodeName(end.status.error_code()), reason, duration);
        LogEnd(end, reason, duration);
        MutexLock lock(mutex_);
        if (!rpc_done_) AddRetryPushback(end.status, rpc_);
      },
      [](const std::string&) {});
  Close(end.status, end.summary);
}

void GenerationCall::LogEnd(const GenerationEnd& end, const std::string& reason,
                            absl::Duration duration) const {
  Log(LogLevel::kInfo, "request",
      {{"method", method_},
       {"code", StatusCodeName(end.status.error_code())},
       {"reason", reason},
       {"request_id", request_id_},
       {"duration_ms", absl::ToDoubleMilliseconds(duration)},
       {"queue_ms", absl::ToDoubleMilliseconds(end.queued)},
       {"size", image_count_ == 0 ? "" : absl::StrCat(first_image_.width, "x", first_image_.height)},
       {"steps", int64_t{image_count_ == 0 ? 0 : first_image_.steps}},
       {"images", int64_t{image_count_}}});
}

}  // namespace kandinsky
