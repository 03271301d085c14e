#pragma once

#include "server/call_context.h"
#include "server/rpc_dispatcher.h"

namespace kandinsky::server {

// Adds kandinsky.v1.EmbeddingService. No method blocks or throws.
void AddEmbeddingService(const CallContext& context, RpcDispatcher& dispatcher);

}  // namespace kandinsky::server
