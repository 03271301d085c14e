#pragma once

#include <grpcpp/server_builder.h>

#include "kandinsky/v1/server_config.pb.h"

namespace kandinsky {

// Applies limits, keepalive rules, compression and reflection to a server that is being built. The default
// health service is switched on as well.
void ConfigureGrpc(const v1::ServerConfig& config, grpc::ServerBuilder& builder);

}  // namespace kandinsky
