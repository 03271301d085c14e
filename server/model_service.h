#pragma once

#include <functional>
#include <string>

#include "server/call_context.h"
#include "server/model_description.h"
#include "server/rpc_dispatcher.h"

namespace kandinsky::server {

// Adds kandinsky.v1.ModelService, which tells of the model that the configuration calls `configured_name` and
// that stands as `standing` says, now. No method blocks or throws. `standing` outlives the calls, and is
// called by several threads.
void AddModelService(const CallContext& context, const std::string& configured_name,
                     const std::function<ModelStanding()>& standing, RpcDispatcher& dispatcher);

}  // namespace kandinsky::server
