#include "server/embedding_call.h"

#include <utility>

#include "server/call_metadata.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/served_model.h"

namespace kandinsky::server {
namespace {

CallFacts FactsOf(const EmbeddingJob& job) {
  const GenerationRequest& first = job.requests.front();
  const bool sized =
      std::holds_alternative<EncodeLatents>(first.task) || std::holds_alternative<DecodeLatents>(first.task);
  return {.task = TaskName(first.task),
          .width = sized ? first.width : 0,
          .height = sized ? first.height : 0,
          .steps = std::holds_alternative<EmbedPrompt>(first.task) ? first.prior_steps : 0,
          .results = static_cast<int>(job.requests.size())};
}

}  // namespace

EmbeddingCall::EmbeddingCall(const CallContext& context, const RpcMethod& method,
                             grpc::CallbackServerContext& rpc, int64_t max_message_bytes,
                             ReadEmbeddingJob read)
    : IncomingCall(context, method, rpc, max_message_bytes, CallLifetime::LogLine::kWork),
      read_(std::move(read)) {}

std::shared_ptr<EmbeddingCall> EmbeddingCall::Self() {
  return std::static_pointer_cast<EmbeddingCall>(shared_from_this());
}

absl::Time EmbeddingCall::deadline() const { return lifetime().deadline(); }

void EmbeddingCall::OnMessage(const grpc::ByteBuffer& request) {
  std::optional<grpc::Status> status;
  GuardExceptions([&] { status = Begin(request); },
                  [&](const std::string& cause) { status = InternalError(cause); });
  if (status.has_value()) End(*status);
}

void EmbeddingCall::Refuse(const grpc::Status& error) {
  facts_.refused = true;
  End(error);
}

std::optional<grpc::Status> EmbeddingCall::Begin(const grpc::ByteBuffer& request) {
  const std::optional<std::string> client = ClientIdOf(rpc());
  if (!client.has_value()) return InvalidClientIdError();
  grpc::Status refusal;
  Engine* const engine = context().serving.EngineForNewWork(refusal);
  if (engine == nullptr) return refusal;
  const grpc::Status held = lifetime().HoldMessage(static_cast<int64_t>(request.Length()), *engine);
  if (!held.ok()) return held;
  const Model& model = engine->model();
  auto checked = read_(request, {.limits = context().limits, .model = model, .reply = ReplyKind::kUnary});
  if (const auto* error = std::get_if<grpc::Status>(&checked)) return *error;
  EmbeddingJob& job = std::get<EmbeddingJob>(checked);
  const grpc::Status served = CheckServed(model.capabilities(), job.model, job.requests.front().adapter);
  if (!served.ok()) return served;
  if (!job.lacks.empty()) return FailedPreconditionError(job.lacks);
  facts_ = FactsOf(job);
  text_list_ = job.text_list;
  answer_ = std::move(job.answer);
  Work work = {.request = {.images = std::move(job.requests),
                           .client = *client,
                           .priority = Priority::kNormal,
                           .deadline = lifetime().deadline()},
               .inputs = std::move(job.inputs),
               .message = std::move(job.message),
               .message_bytes = static_cast<int64_t>(request.Length()),
               .result_bytes = job.reply_bytes};
  lifetime().SetTimer(lifetime().deadline(), [call = std::weak_ptr<EmbeddingCall>(Self())] {
    if (const auto self = call.lock()) self->OnDeadline();
  });
  SubmitWork(context(), *engine, std::move(work), Self());
  return std::nullopt;
}

void EmbeddingCall::OnDeadline() {
  if (!ticket_.submitted()) Leave(/*late=*/true);  // else the engine ends the work
  lifetime().LimitWriting(weak_from_this());
}

void EmbeddingCall::Abandon() { Leave(lifetime().IsLateNow()); }

void EmbeddingCall::Leave(bool late) {
  bool started = false;
  {
    MutexLock lock(mutex_);
    left_ = true;
    started = started_;
  }
  // First, and the reason is the call's: the engine's end would say that the work was cancelled.
  End(late ? DeadlineExceededError(started ? "running" : "queued") : CancelledError(/*by_shutdown=*/false));
  ticket_.Cancel();
}

bool EmbeddingCall::BeginSubmission(ByteBudget::Reservation bytes) {
  if (!ticket_.BeginSubmission()) return false;
  MutexLock lock(mutex_);
  bytes_ = std::move(bytes);
  return true;
}

bool EmbeddingCall::wanted() const {
  MutexLock lock(mutex_);
  return !left_;
}

void EmbeddingCall::Accepted(Engine& engine, const Submission& submission) {
  ticket_.Accepted(engine, submission.number);
}

void EmbeddingCall::Refused(const grpc::Status& status) {
  ticket_.Ended();
  End(status);
}

void EmbeddingCall::OnQueued(const QueueStatus& status) {
  MutexLock lock(mutex_);
  estimated_wait_ = status.estimated_wait;
}

void EmbeddingCall::OnStarted(const StartedInfo&) {
  MutexLock lock(mutex_);
  started_ = true;
}

void EmbeddingCall::OnProgress(const ProgressUpdate&) {}

void EmbeddingCall::OnPreview(PreviewImage) {}

void EmbeddingCall::OnImage(FinishedImage image) {
  GuardExceptions(
      [&] {
        MutexLock lock(mutex_);
        const int index = image.index;
        results_[index] = std::move(image);
      },
      [this](const std::string& cause) { End(InternalError(cause)); });
}

void EmbeddingCall::OnFinished(const absl::Status& status, const GenerationStatistics& statistics) {
  ticket_.Ended();
  GuardExceptions([&] { context().metrics.RecordGeneration(statistics); }, [](const std::string&) {});
  WorkFacts facts = {.by_shutdown = context().serving.state() == ServingState::State::kRefusing,
                     .text_list = text_list_};
  {
    MutexLock lock(mutex_);
    statistics_ = statistics;
    facts.started = started_;
    facts.estimated_wait = estimated_wait_;
  }
  if (!status.ok()) return End(EndOfWork(status, facts));
  // As with images: never by the worker, and the byte budget bounds what waits.
  GuardExceptions([&] { context().codec.Schedule([self = Self()] { self->Answer(); }); },
                  [this](const std::string& cause) { End(InternalError(cause)); });
}

void EmbeddingCall::Answer() {
  if (!wanted()) return;
  grpc::ByteBuffer response;
  grpc::Status error;
  GuardExceptions(
      [&] {
        EmbeddingResults results;
        {
          MutexLock lock(mutex_);
          for (auto& [index, result] : results_) results.results.push_back(std::move(result));
          results_.clear();
          results.statistics = statistics_;
        }
        const absl::Status made = answer_(results, response);
        if (!made.ok()) error = InternalError(made.ToString());
      },
      [&](const std::string& cause) { error = InternalError(cause); });
  End(error, &response);
}

void EmbeddingCall::End(const grpc::Status& status, grpc::ByteBuffer* response) {
  CallFacts facts = facts_;
  {
    MutexLock lock(mutex_);
    facts.queued = statistics_.queued;
  }
  if (!lifetime().Conclude(status, facts)) return;
  if (!status.ok() || response == nullptr) return Finish(status);
  response_.Swap(response);
  StartWriteAndFinish(&response_, grpc::WriteOptions(), status);
}

}  // namespace kandinsky::server
