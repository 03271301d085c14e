#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "server/call_context.h"
#include "server/embedding_validation.h"
#include "server/incoming_call.h"
#include "server/work_submission.h"
#include "server/work_ticket.h"

namespace kandinsky::server {

// A request of EmbeddingService as a piece of work, and what makes the answer of its results.
struct EmbeddingJob {
  std::string model;  // as asked for; "": any
  std::vector<GenerationRequest> requests;
  std::vector<RequestInput> inputs;
  std::vector<PreconditionViolation> lacks;
  std::shared_ptr<const google::protobuf::Message> message;  // what the inputs point into
  const char* text_list = nullptr;                           // as in ValidatedEmbedding
  int64_t reply_bytes = 0;
  // Serializes the answer.
  std::function<absl::Status(const EmbeddingResults&, grpc::ByteBuffer&)> answer;
};

// Reads and checks the message of a call: the job, or the error.
using ReadEmbeddingJob =
    std::function<std::variant<EmbeddingJob, grpc::Status>(const grpc::ByteBuffer&, const ValidationRules&)>;

// One call of EmbeddingService, from its bytes to its status: submits the job to the engine, gathers the
// results and answers once. Lives until OnDone and until engine and codec have let go of it.
class EmbeddingCall final : public IncomingCall, public WorkOwner {
 public:
  EmbeddingCall(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
                int64_t max_message_bytes, ReadEmbeddingJob read);

  bool BeginSubmission(ByteBudget::Reservation bytes) override EXCLUDES(mutex_);
  absl::Time deadline() const override;
  bool wanted() const override EXCLUDES(mutex_);
  void Accepted(Engine& engine, const Submission& submission) override;
  void Refused(const grpc::Status& status) override;
  void OnQueued(const QueueStatus& status) override EXCLUDES(mutex_);
  void OnStarted(const StartedInfo& info) override EXCLUDES(mutex_);
  void OnProgress(const ProgressUpdate& update) override;
  void OnPreview(PreviewImage preview) override;
  void OnImage(FinishedImage image) override EXCLUDES(mutex_);
  void OnFinished(const absl::Status& status, const GenerationStatistics& statistics) override
      EXCLUDES(mutex_);

 private:
  // The reactor's side.
  void OnMessage(const grpc::ByteBuffer& request) override;
  void Refuse(const grpc::Status& error) override;
  void Abandon() override;
  std::shared_ptr<EmbeddingCall> Self();

  // Reads, checks and submits. The error that ends the call at once, or nothing when its end comes later.
  std::optional<grpc::Status> Begin(const grpc::ByteBuffer& request);
  void OnDeadline();
  // Ends the call and its work, unless they have ended.
  void Leave(bool late) EXCLUDES(mutex_);
  // Makes the answer and ends the call.
  void Answer() EXCLUDES(mutex_);
  // The first call ends the RPC, with `response` if `status` is OK.
  void End(const grpc::Status& status, grpc::ByteBuffer* response = nullptr) EXCLUDES(mutex_);

  const ReadEmbeddingJob read_;
  grpc::ByteBuffer response_;  // constant once it is being sent
  WorkTicket ticket_;

  // Written by OnMessage before other threads know the call, constant afterwards.
  CallFacts facts_;
  const char* text_list_ = nullptr;
  std::function<absl::Status(const EmbeddingResults&, grpc::ByteBuffer&)> answer_;

  mutable Mutex mutex_;
  ByteBudget::Reservation bytes_ GUARDED_BY(mutex_);
  bool left_ GUARDED_BY(mutex_) = false;
  bool started_ GUARDED_BY(mutex_) = false;
  absl::Duration estimated_wait_ GUARDED_BY(mutex_) = absl::ZeroDuration();
  std::map<int, FinishedImage> results_ GUARDED_BY(mutex_);
  GenerationStatistics statistics_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
