#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "kandinsky/v1/image_generation.pb.h"
#include "kandinsky/v1/server_config.pb.h"
#include "scheduler/generation_observer.h"
#include "server/metrics.h"
#include "server/request_validation.h"
#include "server/serving_state.h"

namespace kandinsky {

// What all calls share; outlives them.
struct CallContext {
  const v1::LimitsConfig& limits;  // complete
  ServingState& serving;
  Metrics& metrics;
  Executor& codec;  // encodes finished images
  Clock& clock;
};

// One call that generates images, from its bytes to its status: parses, validates, submits, turns the
// engine's events into messages, encodes images on the codec executor, counts and logs the end. How messages
// travel is the derived class's. Owned by shared pointers: the engine's, the codec tasks' and the RPC's.
class GenerationCall : public GenerationObserver, public std::enable_shared_from_this<GenerationCall> {
 public:
  // `method` is the RPC's name, for metrics and logs; it must be a literal.
  GenerationCall(const CallContext& context, const char* method, ReplyKind reply);

  // Starts the work, or ends the call at once. Never blocks or throws. Called once.
  void Start(const grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& request_bytes);

  // The client is gone: ends the work within one step. Must not be called with a lock held.
  void Abandon() EXCLUDES(mutex_);

  void OnQueued(const QueueStatus& status) final;
  void OnStarted(const StartedInfo& info) final;
  void OnProgress(const ProgressUpdate& update) final;
  void OnImage(FinishedImage image) final;
  void OnFinished(const absl::Status& status, const GenerationStatistics& statistics) final;

 protected:
  // Hands one event over; images may come from several threads at once. Must not block.
  virtual void Deliver(v1::GenerateEvent event) = 0;

  // The end, exactly once, after the last Deliver returned. Must not block.
  virtual void Close(const grpc::Status& status, v1::GenerationSummary summary) = 0;

 private:
  // Parses, validates and submits. The error that ends the call at once, OK for a checked request that is not
  // to be run, or nothing when the engine took it.
  std::optional<grpc::Status> Submit(const grpc::CallbackServerContext& rpc, const grpc::ByteBuffer& bytes);
  grpc::Status SubmitError(const absl::Status& status, const Engine& engine) const;
  absl::Time DeadlineOf(const grpc::CallbackServerContext& rpc) const;

  void DeliverGuarded(v1::GenerateEvent event);
  void Encode(FinishedImage image) EXCLUDES(mutex_);
  void Fail(const std::string& cause) EXCLUDES(mutex_);
  // One of the results that Close waits for (each image, and the engine's end) has come.
  void ResultCame() EXCLUDES(mutex_);
  grpc::Status FinalStatus() EXCLUDES(mutex_);
  void Conclude(const grpc::Status& status);
  void LogEnd(const grpc::Status& status, const std::string& reason, absl::Duration duration) const;

  const CallContext context_;
  const char* const method_;
  const ReplyKind reply_;
  const ServingState::LiveCall live_call_;
  const absl::Time arrival_;
  absl::Time deadline_ = absl::InfiniteFuture();

  // Written before the engine gets the call, constant afterwards.
  std::string request_id_;
  v1::OutputFormat format_ = v1::OUTPUT_FORMAT_PNG;
  GenerationRequest first_image_;  // stands for all: they differ in their seed only
  int image_count_ = 0;

  Mutex mutex_;
  int missing_results_ GUARDED_BY(mutex_) = 1;
  bool started_ GUARDED_BY(mutex_) = false;
  bool submitted_ GUARDED_BY(mutex_) = false;  // the engine took the request
  bool abandoned_ GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> engine_status_ GUARDED_BY(mutex_);
  std::optional<grpc::Status> failure_ GUARDED_BY(mutex_);  // of the server's own part, e.g. the codec

  // Written by Submit, then by OnFinished, then read by Conclude: in this order, never at once.
  v1::GenerationSummary summary_;
  absl::Duration queued_ = absl::ZeroDuration();
};

}  // namespace kandinsky
