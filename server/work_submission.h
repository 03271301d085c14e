#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "scheduler/engine.h"
#include "server/byte_budget.h"
#include "server/call_context.h"
#include "server/request_inputs.h"

namespace kandinsky::server {

// Whom a piece of work belongs to, from before it is submitted to its end. Thread-safe.
class WorkOwner : public GenerationObserver {
 public:
  // The inputs are prepared; from now on only Accepted and the engine, or Refused, end the work. The owner
  // gets the share of the byte budget that inputs and results take, none when the work is refused. False,
  // without a need for the share, when it was cancelled before, and has ended.
  virtual bool BeginSubmission(ByteBudget::Reservation bytes) = 0;

  // Whether it has not been cancelled yet.
  virtual bool wanted() const = 0;

  // Until when the work is wanted; can become later.
  virtual absl::Time deadline() const = 0;

  // The engine took the work. Events may have come before.
  virtual void Accepted(Engine& engine, const Submission& submission) = 0;

  // Ends work that was not taken.
  virtual void Refused(const grpc::Status& status) = 0;
};

// A piece of work, checked.
struct Work {
  EngineRequest request = {};
  std::vector<RequestInput> inputs = {};
  // What the inputs point into.
  std::shared_ptr<const google::protobuf::Message> message = nullptr;
  int64_t message_bytes = 0;  // of it as it came, which the call has reserved
  int64_t result_bytes = 0;   // of all results, and what is kept with them
};

// Reserves the bytes, has the inputs prepared on the codec executor, one after the other and in turn with
// those of others, and submits. What the engine would not take is refused before anything is prepared. Never
// blocks; whatever happens is told to `owner`, now or later. `engine` outlives the work.
void SubmitWork(const CallContext& context, Engine& engine, Work work, std::shared_ptr<WorkOwner> owner);

}  // namespace kandinsky::server
