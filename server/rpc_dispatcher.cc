#include "server/rpc_dispatcher.h"

#include <utility>

#include "server/call_lifetime.h"
#include "server/call_metadata.h"
#include "server/error_details.h"
#include "server/exception_guard.h"
#include "server/reaction_order.h"

namespace kandinsky::server {
namespace {

// A call that is refused by its headers: its message is not read.
class RefusedCall final : public grpc::ServerGenericBidiReactor {
 public:
  RefusedCall(const CallContext& context, const RpcMethod& method, grpc::CallbackServerContext& rpc,
              const grpc::Status& error)
      : lifetime_(context, method, rpc) {
    const ReactionOrder order(this);
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
  served_[method.Path()] = {method, std::move(factory)};
  services_.insert(method.service);
}

std::vector<std::string> RpcDispatcher::Services() const { return {services_.begin(), services_.end()}; }

grpc::ServerGenericBidiReactor* RpcDispatcher::CreateReactor(grpc::GenericCallbackServerContext* rpc) {
  ++context_.counts.dispatched;
  grpc::ServerGenericBidiReactor* reactor = nullptr;
  GuardExceptions([&] { reactor = MakeReactor(*rpc); },
                  [](const std::string& cause) { InternalError(cause); });
  if (reactor == nullptr) ++context_.counts.ended;  // gRPC's, who tells nobody when that is over
  return reactor;
}

grpc::ServerGenericBidiReactor* RpcDispatcher::MakeReactor(grpc::GenericCallbackServerContext& rpc) const {
  const auto found = served_.find(rpc.method());
  if (found == served_.end()) return new RefusedCall(context_, kUnknownMethod, rpc, UnknownMethodError());
  const auto& [method, factory] = found->second;
  const int64_t limit = context_.limits.max_metadata_bytes();
  if (MetadataBytes(rpc) <= limit) return factory(rpc);
  return new RefusedCall(context_, method, rpc, MetadataTooLargeError(limit));
}

}  // namespace kandinsky::server
