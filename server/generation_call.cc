#include "server/generation_call.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <utility>
#include <variant>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "server/call_message.h"
#include "server/call_metadata.h"
#include "server/event_conversion.h"
#include "server/exception_guard.h"
#include "server/generation_store.h"
#include "server/random_seed.h"
#include "server/served_model.h"

namespace kandinsky::server {
namespace {

// The same bytes for the same request, whatever its id and whether it is only to be checked. Those of a
// request with images are too many to be kept: two hashes, whose keys are the process's own, stand for
// them. Changes the request for a moment, since a copy could be large.
std::string BodyOf(v1::GenerateRequest& request) {
  constexpr size_t kLargestBody = 64 << 10;
  const std::string id = std::move(*request.mutable_request_id());
  const bool has_validate_only = request.has_validate_only();
  const bool validate_only = request.validate_only();
  request.clear_request_id();
  request.clear_validate_only();
  std::string body;
  {
    google::protobuf::io::StringOutputStream stream(&body);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  request.set_request_id(id);
  if (has_validate_only) request.set_validate_only(validate_only);
  if (body.size() <= kLargestBody) return body;
  return absl::StrCat("#", body.size(), " ", absl::HashOf(1, body), " ", absl::HashOf(body, 2));
}

EngineRequest ToEngineRequest(const GenerationSpec& spec, ValidatedRequest& validated) {
  return {.images = std::move(validated.images),
          .plan = std::move(validated.plan),
          .client = spec.client,
          .priority = spec.priority,
          .deadline = spec.deadline};
}

int64_t ResultBytesOf(const GenerationSpec& spec) {
  return spec.image_count * spec.result_bytes + static_cast<int64_t>(spec.body.size());
}

CallFacts FactsOf(const GenerationSpec& spec) {
  return {.request_id = spec.request_id,
          .task = TaskName(spec.first_image.task),
          .width = spec.first_image.width,
          .height = spec.first_image.height,
          .steps = spec.first_image.steps,
          .results = spec.image_count};
}

}  // namespace

GenerationCall::GenerationCall(const CallContext& context, const RpcMethod& method, ReplyKind reply,
                               grpc::CallbackServerContext& rpc)
    : IncomingCall(context, method, rpc, context.limits.max_receive_message_bytes(),
                   CallLifetime::LogLine::kWork),
      reply_(reply) {}

std::shared_ptr<GenerationCall> GenerationCall::Self() {
  return std::static_pointer_cast<GenerationCall>(shared_from_this());
}

void GenerationCall::Refuse(const grpc::Status& error) {
  facts_.refused = true;
  GenerationEnd end;
  end.status = error;
  Conclude(end);
}

void GenerationCall::OnMessage(const grpc::ByteBuffer& request_bytes) {
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
  const std::optional<std::string> client = ClientIdOf(rpc());
  if (!client.has_value()) return InvalidClientIdError();
  grpc::Status refusal;
  Engine* const engine = context().serving.EngineForNewWork(refusal);
  if (engine == nullptr) return refusal;
  const auto message_bytes = static_cast<int64_t>(bytes.Length());
  const grpc::Status held = lifetime().HoldMessage(message_bytes, *engine);
  if (!held.ok()) return held;
  const auto request = std::make_shared<v1::GenerateRequest>();
  std::optional<grpc::Status> error = ReadMessage(bytes, context().limits, *request);
  if (error.has_value()) return error;

  const Capabilities& capabilities = engine->model().capabilities();
  auto checked = ValidateGenerateRequest(
      *request, {.limits = context().limits, .model = engine->model(), .reply = reply_}, DrawSeed);
  if (const auto* violations = std::get_if<std::vector<FieldViolation>>(&checked)) {
    context().metrics.RecordRejectedImages(*violations);
    return InvalidRequestError(*violations);
  }
  const grpc::Status served = CheckServed(capabilities, request->model(), request->adapter());
  if (!served.ok()) return served;
  ValidatedRequest& validated = std::get<ValidatedRequest>(checked);
  if (!validated.lacks.empty()) return FailedPreconditionError(validated.lacks);
  GenerationSpec spec = MakeSpec(*request, validated, capabilities.model_name);
  spec.client = *client;
  facts_ = FactsOf(spec);
  if (validated.validate_only) return CheckOnly(spec, std::move(validated), *engine);
  Work work = {.request = ToEngineRequest(spec, validated),
               .inputs = std::move(validated.inputs),
               .message = request,
               .message_bytes = message_bytes,
               .result_bytes = ResultBytesOf(spec)};
  return JoinOrSubmit(std::move(spec), std::move(work), *engine);
}

GenerationSpec GenerationCall::MakeSpec(v1::GenerateRequest& request, const ValidatedRequest& validated,
                                        const std::string& model) const {
  const absl::Time longest = lifetime().arrival() + absl::Seconds(context().limits.max_deadline_seconds());
  return {.client = "",
          .request_id = validated.request_id,
          .body = request.has_request_id() ? BodyOf(request) : "",
          .detach = validated.detach,
          .priority = validated.priority,
          .encoding = validated.encoding,
          .result_bytes = validated.result_bytes,
          .first_image = validated.images.front(),
          .image_count = static_cast<int>(validated.images.size()),
          .arrival = lifetime().arrival(),
          .deadline = validated.detach ? longest : lifetime().deadline(),
          .summary = MakeSummary(validated, model)};
}

grpc::Status GenerationCall::CheckOnly(const GenerationSpec& spec, ValidatedRequest validated,
                                       const Engine& engine) {
  if (context().store.Meet(spec).match == GenerationStore::Match::kConflict) {
    return RequestIdInUseError(spec.request_id);
  }
  checked_ = spec.summary;
  AddEstimate(engine.EstimateTimes(ToEngineRequest(spec, validated)), checked_);
  return grpc::Status::OK;
}

std::optional<grpc::Status> GenerationCall::JoinOrSubmit(GenerationSpec spec, Work work, Engine& engine) {
  const std::string request_id = spec.request_id;
  const absl::Time wanted = spec.deadline;
  const auto candidate = std::make_shared<GenerationRecord>(context(), std::move(spec), Self());
  for (;;) {
    const auto [match, record] = context().store.FindOrAdd(candidate);
    if (match == GenerationStore::Match::kConflict) return RequestIdInUseError(request_id);
    {
      MutexLock lock(mutex_);
      record_ = record;
    }
    if (match == GenerationStore::Match::kNone) break;
    if (!record->Attach(Self(), wanted)) continue;  // it has died meanwhile
    WatchDeadline();
    return std::nullopt;
  }
  GuardExceptions([&] { SubmitWork(context(), engine, std::move(work), candidate); },
                  [&](const std::string& cause) {
                    if (candidate->BeginSubmission({})) candidate->Refused(InternalError(cause));
                  });
  WatchDeadline();
  return std::nullopt;
}

std::shared_ptr<GenerationRecord> GenerationCall::record() const {
  MutexLock lock(mutex_);
  return record_;
}

void GenerationCall::WatchDeadline() {
  lifetime().SetTimer(lifetime().deadline(), [call = std::weak_ptr<GenerationCall>(Self())] {
    if (const auto self = call.lock()) self->OnDeadline();
  });
}

void GenerationCall::OnDeadline() {
  const std::shared_ptr<GenerationRecord> record = this->record();
  // Work that has the same deadline is ended by the engine, once it is there.
  if (record->deadline() > lifetime().deadline() || !record->submitted()) Leave(/*late=*/true);
  lifetime().LimitWriting(weak_from_this());
}

void GenerationCall::Abandon() { Leave(lifetime().IsLateNow()); }

void GenerationCall::Leave(bool late) {
  const std::shared_ptr<GenerationRecord> record = this->record();
  if (record == nullptr || !record->Detach(*this)) return;
  GenerationEnd end;
  end.status = late ? DeadlineExceededError(record->started() ? "running" : "queued")
                    : CancelledError(/*by_shutdown=*/false);
  Conclude(end);
}

void GenerationCall::OnEnd(const GenerationEnd& end) { Conclude(end); }

void GenerationCall::Conclude(const GenerationEnd& end) {
  CallFacts facts = facts_;
  facts.queued = end.queued;
  if (lifetime().Conclude(end.status, facts)) Close(end.status, end.summary);
}

}  // namespace kandinsky::server
