#pragma once

#include "server/call_context.h"
#include "server/rpc_dispatcher.h"

namespace kandinsky::server {

// Adds grpc.reflection.v1.ServerReflection and its older name, v1alpha, for the services that `dispatcher`
// has by then and for itself: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md. A stream may
// stay open, as graphical clients keep it, but not without end: at most 16 are, and one without a request for
// a minute is ended.
void AddReflectionServices(const CallContext& context, RpcDispatcher& dispatcher);

}  // namespace kandinsky::server
