#pragma once

#include <optional>

#include "base/executor.h"
#include "server/event_queue.h"
#include "server/generation_call.h"

namespace kandinsky::server {

// The streaming call: writes one message after the other as fast as the client reads, and finishes once, when
// the work has ended and everything is written. Whoever brings an event, a worker for one, only leaves it
// here: the writer's thread begins the write. Lives until OnDone and until the record has let go of it.
class GenerateReactor final : public GenerationCall {
 public:
  GenerateReactor(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc);

  void OnWriteDone(bool ok) override EXCLUDES(write_mutex_);

 private:
  void OnEvent(const v1::GenerateEvent& event) override EXCLUDES(write_mutex_);
  void OnImage(SharedImage image) override EXCLUDES(write_mutex_);
  void Close(const grpc::Status& status, const v1::GenerationSummary& summary) override
      EXCLUDES(write_mutex_);

  // Runs `body`, which takes the lock itself; an exception in it ends the call with INTERNAL.
  template <typename Body>
  void Guarded(Body&& body) noexcept EXCLUDES(write_mutex_);

  // What is to be asked of gRPC next.
  enum class Operation { kNone, kWrite, kFinish };

  // Asks the writer for WriteNext, unless it is asked already or a write is under way, whose end does the
  // same.
  void WakeWriter() EXCLUDES(write_mutex_);

  // Begins the next operation, if there is one. Without the lock: a write takes tens of microseconds, and its
  // completion, on another thread, would wait for them.
  void WriteNext() EXCLUDES(write_mutex_);

  // The next operation, none while a write is under way; from then on it counts as begun.
  Operation Next() REQUIRES(write_mutex_);
  bool TakeNextMessage() REQUIRES(write_mutex_);

  Executor& writer_;

  Mutex write_mutex_;
  EventQueue events_ GUARDED_BY(write_mutex_);
  grpc::ByteBuffer writing_ GUARDED_BY(write_mutex_);  // constant while a write is under way
  bool writer_woken_ GUARDED_BY(write_mutex_) = false;
  bool write_under_way_ GUARDED_BY(write_mutex_) = false;
  bool broken_ GUARDED_BY(write_mutex_) = false;  // a write failed: nobody reads any more
  bool finished_ GUARDED_BY(write_mutex_) = false;
  std::optional<grpc::Status> final_status_ GUARDED_BY(write_mutex_);  // constant when finished_
};

}  // namespace kandinsky::server
