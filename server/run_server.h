#pragma once

#include "kandinsky/v1/server_config.pb.h"
#include "server/listener_probe.h"
#include "server/server.h"

namespace kandinsky::server {

// Runs a server from its start to SIGTERM or SIGINT, and returns the process's exit code (see
// command_line.h). Sets up logging, signals and the file descriptor limit, so call it first and once. A
// second signal ends the process at once; a signal while the model is being loaded does so after the drain,
// without waiting for the loader. `probe_options` say how the server's own port is called.
int RunServer(const v1::ServerConfig& config, Server::ModelLoader load,
              const ListenerProbe::Options& probe_options = {});

}  // namespace kandinsky::server
