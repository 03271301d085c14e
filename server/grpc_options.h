#pragma once

#include <grpcpp/server_builder.h>

#include "kandinsky/v1/server_config.pb.h"

namespace kandinsky::server {

// Applies limits and keepalive rules to a server that is being built.
void ConfigureGrpc(const v1::ServerConfig& config, grpc::ServerBuilder& builder);

}  // namespace kandinsky::server
