#pragma once

#include <string>

#include "server/call_context.h"
#include "server/rpc_dispatcher.h"

namespace kandinsky::server {

// Adds kandinsky.v1.ImageGenerationService. No method blocks or throws. `operator_client_id` as in
// GenerationMethods.
void AddImageGenerationService(const CallContext& context, const std::string& operator_client_id,
                               RpcDispatcher& dispatcher);

}  // namespace kandinsky::server
