#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/call_context.h"
#include "server/rpc_method.h"

namespace kandinsky::server {

// Gets every call of the server as soon as its headers are there, before its message: gRPC's own services
// would see a call when its message is complete and as it should be, and all others (compressed, too large,
// of an unknown method, ended while they came) nobody would count. Refuses calls of unknown methods, and with
// more metadata than limits.max_metadata_bytes. Thread-safe once the server has started.
class RpcDispatcher final : public grpc::CallbackGenericService {
 public:
  // Makes the reactor of a call, which owns itself. Must not block; null: gRPC answers UNIMPLEMENTED.
  using Factory = std::function<grpc::ServerGenericBidiReactor*(grpc::GenericCallbackServerContext&)>;

  explicit RpcDispatcher(const CallContext& context);

  // Before the server starts.
  void Add(const RpcMethod& method, Factory factory);

  // Full names of the services that have methods, in alphabetical order.
  std::vector<std::string> Services() const;

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* rpc) override;

 private:
  const CallContext context_;
  struct Served {
    RpcMethod method;
    Factory factory;
  };

  grpc::ServerGenericBidiReactor* MakeReactor(grpc::GenericCallbackServerContext& rpc) const;

  std::map<std::string, Served> served_;  // by path
  std::set<std::string> services_;
};

}  // namespace kandinsky::server
