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
#include "server/call_lifetime.h"
#include "server/generation_listener.h"
#include "server/generation_record.h"
#include "server/request_validation.h"
#include "server/work_submission.h"

namespace kandinsky {

// One call that generates images, from its bytes to its status: parses, validates, finds the record of the
// request or makes one and submits it, listens to it, counts and logs the end. How messages travel is the
// derived class's. Owned by shared pointers: the record's as long as it listens, and the RPC's.
class GenerationCall : public GenerationListener, public std::enable_shared_from_this<GenerationCall> {
 public:
  // `method` is the RPC's name, for metrics and logs; it must be a literal. `rpc` lives until RpcDone.
  GenerationCall(const CallContext& context, const char* method, ReplyKind reply,
                 grpc::CallbackServerContext& rpc);

  // Starts the work, joins it, or ends the call at once. Never blocks or throws. Called once.
  void Start(const grpc::ByteBuffer& request_bytes);

  // The client is gone: ends the call, and with it the work if nobody else wants it. Must not be called with
  // a lock held.
  void Abandon();

  // The RPC is over.
  void RpcDone();

  void OnEnd(const GenerationEnd& end) final;

 protected:
  // Sends the status, and if it is OK the summary before, after everything else; exactly once. Must not
  // block.
  virtual void Close(const grpc::Status& status, const v1::GenerationSummary& summary) = 0;

 private:
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

  CallLifetime lifetime_;
  const CallContext context_;
  const ReplyKind reply_;
  grpc::CallbackServerContext& rpc_;

  // Written by Start before the record knows the call, constant afterwards.
  CallFacts facts_;
  v1::GenerationSummary checked_;  // of validate_only

  mutable Mutex mutex_;
  std::shared_ptr<GenerationRecord> record_ GUARDED_BY(mutex_);
};

}  // namespace kandinsky
