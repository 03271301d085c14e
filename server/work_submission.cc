#include "server/work_submission.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/byte_reservation.h"
#include "server/error_details.h"
#include "server/exception_guard.h"

namespace kandinsky::server {
namespace {

// What a piece of work holds while its inputs are prepared, and afterwards.
struct Needs {
  int64_t preparing = 0;
  int64_t prepared = 0;
};

Needs NeedsOf(const Work& work) {
  Needs needs;
  needs.prepared = work.result_bytes;
  int64_t passing = 0;
  for (const RequestInput& input : work.inputs) {
    needs.prepared += input.kept_bytes;
    passing = std::max(passing, input.passing_bytes);  // one is prepared after the other
  }
  // The parsed message holds another copy of the images until they are decoded.
  needs.preparing = needs.prepared + passing + (work.inputs.empty() ? 0 : work.message_bytes);
  return needs;
}

grpc::Status InputError(const CallContext& context, const RequestInput& input, const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) context.metrics.RecordRejectedImage("memory");
  if (!absl::IsInvalidArgument(status)) return GenerationError(status);
  context.metrics.RecordRejectedImage("damaged");
  return InvalidRequestError({{input.field, std::string(status.message()), "damaged"}});
}

// A piece of work on its way to the engine; lives in the codec's queue.
class Preparation : public std::enable_shared_from_this<Preparation> {
 public:
  Preparation(const CallContext& context, Engine& engine, Work work, std::shared_ptr<WorkOwner> owner)
      : on_its_way_(context.serving),
        context_(context),
        engine_(engine),
        work_(std::move(work)),
        needs_(NeedsOf(work_)),
        owner_(std::move(owner)) {}

  void Start() {
    const grpc::Status refusal = Admit();
    if (!refusal.ok()) return Refuse(refusal);
    if (work_.inputs.empty()) return Run();
    if (!context_.codec.TrySchedule([self = shared_from_this()] { self->Run(); })) {
      Refuse(DecodeQueueFullError());
    }
  }

 private:
  // OK when it may be prepared; its bytes are reserved then.
  grpc::Status Admit() {
    if (!work_.inputs.empty()) {
      const Submission submission = engine_.CheckAdmission(work_.request);
      if (!submission.status.ok()) return RefusalError(submission);
    }
    return ReserveBytes(context_, engine_, needs_.preparing, work_.message_bytes, bytes_);
  }

  void Run() {
    bool begun = false;
    GuardExceptions(
        [&] {
          if (PrepareNext()) Submit(begun);
        },
        [&](const std::string& cause) { Refuse(InternalError(cause), begun); });
  }

  // Ends the work, unless it has ended. `begun`: its submission has begun.
  void Refuse(const grpc::Status& status, bool begun = false) {
    if (begun || owner_->BeginSubmission({})) owner_->Refused(status);
  }

  // Prepares an input; false when that was not the last, or the work has ended.
  bool PrepareNext() {
    if (prepared_ == work_.inputs.size()) return true;
    if (!owner_->wanted()) return false;
    if (context_.clock.Now() >= owner_->deadline()) {
      Refuse(DeadlineExceededError("queued"));
      return false;
    }
    const RequestInput& input = work_.inputs[prepared_];
    const absl::Status status = input.prepare(work_.request.images);
    if (!status.ok()) {
      Refuse(InputError(context_, input, status));
      return false;
    }
    if (++prepared_ == work_.inputs.size()) return true;
    context_.codec.ScheduleNext([self = shared_from_this()] { self->Run(); });
    return false;
  }

  void Submit(bool& begun) {
    work_.inputs.clear();
    work_.message.reset();
    bytes_.Resize(needs_.prepared);
    begun = owner_->BeginSubmission(std::move(bytes_));
    if (!begun) return;
    work_.request.deadline = owner_->deadline();
    const Submission submission = engine_.Submit(std::move(work_.request), owner_);
    if (submission.status.ok()) {
      owner_->Accepted(engine_, submission);
    } else {
      owner_->Refused(RefusalError(submission));
    }
  }

  // First, so that it goes last: whoever waits for it may end the engine.
  const ServingState::WorkOnItsWay on_its_way_;
  const CallContext context_;
  Engine& engine_;
  // The share goes after what it stands for: the message and what is prepared.
  ByteBudget::Reservation bytes_;
  Work work_;
  const Needs needs_;
  const std::shared_ptr<WorkOwner> owner_;
  size_t prepared_ = 0;  // of the inputs
};

}  // namespace

void SubmitWork(const CallContext& context, Engine& engine, Work work, std::shared_ptr<WorkOwner> owner) {
  std::make_shared<Preparation>(context, engine, std::move(work), std::move(owner))->Start();
}

}  // namespace kandinsky::server
