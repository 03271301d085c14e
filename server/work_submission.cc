#include "server/work_submission.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/generation_store.h"

namespace kandinsky {
namespace {

// What a piece of work holds while its inputs are prepared, and afterwards.
struct Needs {
  int64_t preparing = 0;
  int64_t prepared = 0;
};

Needs NeedsOf(const Work& work) {
  Needs needs;
  needs.prepared = work.message_bytes + work.result_bytes;
  int64_t passing = 0;
  for (const RequestInput& input : work.inputs) {
    needs.prepared += input.kept_bytes;
    passing = std::max(passing, input.passing_bytes);  // one is prepared after the other
  }
  // The parsed message holds another copy of the pictures until they are decoded.
  needs.preparing = needs.prepared + passing + (work.inputs.empty() ? 0 : work.message_bytes);
  return needs;
}

std::optional<ByteBudget::Reservation> Reserve(const CallContext& context, int64_t bytes) {
  for (;;) {
    auto reservation = context.budget.TryReserve(bytes);
    // Results of the past give way to new work.
    if (reservation.has_value() || !context.store.EvictOldest()) return reservation;
  }
}

grpc::Status InputError(const CallContext& context, const RequestInput& input, const absl::Status& status) {
  const bool memory = absl::IsResourceExhausted(status);
  context.metrics.RecordRejectedPicture(memory ? "memory" : "damaged");
  if (!absl::IsInvalidArgument(status)) return GenerationError(status);
  return InvalidRequestError({{input.field, std::string(status.message()), "damaged"}});
}

// A piece of work on its way; lives in the codec's queue.
class Preparation {
 public:
  Preparation(const CallContext& context, Engine& engine, Work work, std::shared_ptr<WorkOwner> owner)
      : context_(context), engine_(engine), work_(std::move(work)), owner_(std::move(owner)) {}

  void Run() {
    bool begun = false;
    GuardExceptions([&] { PrepareAndSubmit(begun); },
                    [&](const std::string& cause) { Refuse(InternalError(cause), begun); });
  }

  // Ends the work, unless it has ended. `begun`: its submission has begun.
  void Refuse(const grpc::Status& status, bool begun = false) {
    if (begun || owner_->BeginSubmission(0)) owner_->Refused(status);
  }

 private:
  void PrepareAndSubmit(bool& begun) {
    for (const RequestInput& input : work_.inputs) {
      if (!owner_->wanted()) return;
      if (context_.clock.Now() >= owner_->deadline()) return Refuse(DeadlineExceededError("queued"));
      const absl::Status status = input.prepare(work_.request.images);
      if (!status.ok()) return Refuse(InputError(context_, input, status));
    }
    const int64_t kept_bytes = NeedsOf(work_).prepared;
    work_.inputs.clear();
    work_.message.reset();
    begun = owner_->BeginSubmission(kept_bytes);
    if (!begun) return;
    work_.request.deadline = owner_->deadline();
    const Submission submission = engine_.Submit(std::move(work_.request), owner_);
    if (submission.status.ok()) {
      owner_->Accepted(engine_, submission);
    } else {
      owner_->Refused(RefusalError(submission));
    }
  }

  const CallContext context_;
  Engine& engine_;
  Work work_;
  const std::shared_ptr<WorkOwner> owner_;
};

}  // namespace

void SubmitWork(const CallContext& context, Engine& engine, Work work, std::shared_ptr<WorkOwner> owner) {
  const int64_t bytes = NeedsOf(work).preparing;
  std::optional<ByteBudget::Reservation> reservation = Reserve(context, bytes);
  if (!reservation.has_value()) {
    const bool fits_alone = bytes <= context.budget.limit();
    const auto retry = fits_alone ? std::optional(engine.EstimateTimes(work.request).wait) : std::nullopt;
    if (owner->BeginSubmission(0)) owner->Refused(BytesInFlightError(retry));
    return;
  }
  owner->Hold(*std::move(reservation));
  const bool has_inputs = !work.inputs.empty();
  const auto preparation = std::make_shared<Preparation>(context, engine, std::move(work), std::move(owner));
  if (!has_inputs) return preparation->Run();
  if (!context.codec.TrySchedule([preparation] { preparation->Run(); })) {
    preparation->Refuse(DecodeQueueFullError());
  }
}

}  // namespace kandinsky
