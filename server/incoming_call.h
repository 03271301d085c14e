#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>

#include "base/mutex.h"
#include "server/call_context.h"
#include "server/call_lifetime.h"
#include "server/message_watch.h"
#include "server/rpc_method.h"

namespace kandinsky::server {

// A call with one message, from its headers to its end: reads the message as far as the limits allow, refuses
// what does not come as it should, and tells the derived class of the rest. Owned by shared pointers: that of
// the RPC, until it is over, and those of whom the derived class gives one.
class IncomingCall : public grpc::ServerGenericBidiReactor,
                     public std::enable_shared_from_this<IncomingCall> {
 public:
  // Begins to read the message of a new call; returns its reactor. Never blocks.
  static grpc::ServerGenericBidiReactor* Run(const std::shared_ptr<IncomingCall>& call);

  // `rpc` lives until the RPC is over. A message has at most `max_message_bytes`.
  IncomingCall(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
               int64_t max_message_bytes, CallLifetime::LogLine line = CallLifetime::LogLine::kNone);

  void OnReadDone(bool ok) final EXCLUDES(mutex_);
  void OnCancel() final EXCLUDES(mutex_);
  void OnDone() final EXCLUDES(mutex_);

 protected:
  // The message, once, unless the call was refused. It is there until the RPC is over.
  virtual void OnMessage(const grpc::ByteBuffer& message) = 0;

  // Ends the call, which has no message, with CallLifetime::Conclude and Finish.
  virtual void Refuse(const grpc::Status& error) = 0;

  // The client is gone, or the RPC over; after OnMessage, perhaps more than once.
  virtual void Abandon() = 0;

  CallLifetime& lifetime() { return lifetime_; }
  const CallLifetime& lifetime() const { return lifetime_; }
  const CallContext& context() const { return context_; }
  grpc::CallbackServerContext& rpc() { return rpc_; }

 private:
  void Read();
  // Whether the caller is the one who says how reading ended.
  bool EndReading() EXCLUDES(mutex_);
  void RefuseUnread(const grpc::Status& error) EXCLUDES(mutex_);
  // What is wrong with the message that was read, if anything.
  grpc::Status CheckMessage() const;
  grpc::Status TooLargeError() const;

  CallLifetime lifetime_;  // first, so that it goes last
  const CallContext context_;
  grpc::CallbackServerContext& rpc_;
  const int64_t max_message_bytes_;
  std::shared_ptr<IncomingCall> self_;  // until OnDone
  MessageWatch::Id watch_ = 0;
  grpc::ByteBuffer message_;

  Mutex mutex_;
  bool read_ GUARDED_BY(mutex_) = false;     // or refused
  bool handled_ GUARDED_BY(mutex_) = false;  // OnMessage has returned
  bool gone_ GUARDED_BY(mutex_) = false;     // OnCancel has come
};

}  // namespace kandinsky::server
