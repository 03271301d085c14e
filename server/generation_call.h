#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "server/call_context.h"
#include "server/generation_listener.h"
#include "server/generation_record.h"
#include "server/incoming_call.h"
#include "server/request_validation.h"
#include "server/work_submission.h"

namespace kandinsky::server {

// One call that generates images, from its bytes to its status: parses, validates, finds the record of the
// request or makes one and submits it, listens to it. How messages travel is the derived class's. Owned by
// shared pointers: the record's as long as it listens, and the RPC's.
class GenerationCall : public IncomingCall, public GenerationListener {
 public:
  // `rpc` lives until the RPC is over.
  GenerationCall(const CallContext& context, const RpcMethod& method, ReplyKind reply,
                 grpc::CallbackServerContext& rpc);

  void OnEnd(const GenerationEnd& end) final;

 protected:
  // Sends the status, and if it is OK the summary before, after everything else; exactly once. Must not
  // block.
  virtual void Close(const grpc::Status& status, const v1::GenerationSummary& summary) = 0;

 private:
  // Starts the work, joins it, or ends the call at once.
  void OnMessage(const grpc::ByteBuffer& request_bytes) final;
  void Refuse(const grpc::Status& error) final;
  // Ends the call, and with it the work if nobody else wants it.
  void Abandon() final;
  std::shared_ptr<GenerationCall> Self();

  // Parses, validates and finds or starts the work. The error that ends the call at once, OK for a checked
  // request that is not to be run, or nothing when the end comes from the record.
  std::optional<grpc::Status> Begin(const grpc::ByteBuffer& bytes);
  GenerationSpec MakeSpec(v1::GenerateRequest& request, const ValidatedRequest& validated,
                          const std::string& model) const;
  grpc::Status CheckOnly(const GenerationSpec& spec, ValidatedRequest validated, const Engine& engine);
  std::optional<grpc::Status> JoinOrSubmit(GenerationSpec spec, Work work, Engine& engine);
  std::shared_ptr<GenerationRecord> record() const EXCLUDES(mutex_);

  // Watches the call's own deadline, which may come before the work's, and then whether it can be written.
  void WatchDeadline();
  void OnDeadline();
  // Ends the call without waiting for the record, unless the record ends or ended it.
  void Leave(bool late);
  void Conclude(const GenerationEnd& end);

  const ReplyKind reply_;

  // Written by OnMessage before the record knows the call, constant afterwards.
  CallFacts facts_;
  v1::GenerationSummary checked_;  // of validate_only

  mutable Mutex mutex_;
  std::shared_ptr<GenerationRecord> record_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky::server
