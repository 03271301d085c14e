#pragma once

#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "server/call_context.h"
#include "server/call_message.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/incoming_call.h"
#include "server/rpc_dispatcher.h"
#include "server/wire.h"

namespace kandinsky::server {

// A call that is answered at once, by a function that does not block.
class UnaryCall final : public IncomingCall {
 public:
  // Makes the answer of the message, or the error.
  using Answer = std::function<grpc::Status(const grpc::ServerContextBase& rpc,
                                            const grpc::ByteBuffer& message, grpc::ByteBuffer& response)>;

  UnaryCall(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
            Answer answer)
      : IncomingCall(context, method, rpc, context.limits.max_text_message_bytes()),
        answer_(std::move(answer)) {}

 private:
  void OnMessage(const grpc::ByteBuffer& message) override {
    grpc::Status status;
    GuardExceptions([&] { status = answer_(rpc(), message, response_); },
                    [&](const std::string& cause) { status = InternalError(cause); });
    End(status, /*refused=*/false);
  }
  void Refuse(const grpc::Status& error) override { End(error, /*refused=*/true); }
  void Abandon() override {}

  void End(const grpc::Status& status, bool refused) {
    if (!lifetime().Conclude(status, {.refused = refused})) return;
    if (!status.ok()) return Finish(status);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), status);
  }

  const Answer answer_;
  grpc::ByteBuffer response_;  // constant once it is being sent
};

// Adds a method that `handle` answers.
template <typename Request, typename Response>
void AddUnary(const RpcMethod& method, const CallContext& context, RpcDispatcher& dispatcher,
              std::function<grpc::Status(const grpc::ServerContextBase&, const Request&, Response&)> handle) {
  const auto answer = [context, handle = std::move(handle)](const grpc::ServerContextBase& rpc,
                                                            const grpc::ByteBuffer& message,
                                                            grpc::ByteBuffer& response_bytes) {
    Request request;
    Response response;
    std::optional<grpc::Status> error = ReadMessage(message, context.limits, request);
    const grpc::Status status = error.has_value() ? *error : handle(rpc, request, response);
    if (!status.ok() || SerializeMessage(response, response_bytes)) return status;
    return InternalError("the response could not be serialized");
  };
  dispatcher.Add(method, [context, method, answer](grpc::GenericCallbackServerContext& rpc) {
    return IncomingCall::Run(std::make_shared<UnaryCall>(context, method, rpc, answer));
  });
}

}  // namespace kandinsky::server
