#include "server/rpc_dispatcher.h"

#include <utility>

#include "server/call_lifetime.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/reaction_order.h"

namespace kandinsky {
namespace {

// A call of a method that the server does not have: its message is not read.
class UnknownCall final : public grpc::ServerGenericBidiReactor {
 public:
  UnknownCall(const CallContext& context, grpc::CallbackServerContext& rpc)
      : lifetime_(context, kUnknownMethod, rpc) {
    const ReactionOrder order(this);
    const grpc::Status error = UnknownMethodError();
    lifetime_.Conclude(error, {.refused = true});
    Finish(error);
  }

  void OnDone() override {
    {
      const ReactionOrder order(this);
      lifetime_.RpcDone();
    }
    delete this;
  }

 private:
  CallLifetime lifetime_;
};

}  // namespace

RpcDispatcher::RpcDispatcher(const CallContext& context) : context_(context) {
  context_.metrics.AddMethod(kUnknownMethod);
}

void RpcDispatcher::Add(const RpcMethod& method, Factory factory) {
  context_.metrics.AddMethod(method);
  factories_[method.Path()] = std::move(factory);
  services_.insert(method.service);
}

std::vector<std::string> RpcDispatcher::Services() const { return {services_.begin(), services_.end()}; }

grpc::ServerGenericBidiReactor* RpcDispatcher::CreateReactor(grpc::GenericCallbackServerContext* rpc) {
  ++calls_;
  grpc::ServerGenericBidiReactor* reactor = nullptr;
  GuardExceptions(
      [&] {
        const auto found = factories_.find(rpc->method());
        reactor = found == factories_.end() ? new UnknownCall(context_, *rpc) : found->second(*rpc);
      },
      [](const std::string& cause) { InternalError(cause); });
  return reactor;
}

}  // namespace kandinsky
