#pragma once

#include <optional>
#include <string>

#include "kandinsky/v1/server_config.pb.h"

namespace kandinsky::server {

// Exit codes of the server.
enum ExitCode {
  kExitOk = 0,
  kExitFailure = 1,  // ended at once by a second signal, or by an unexpected error; what it printed was lost
  kExitUsage = 2,    // wrong command line or configuration
  kExitListen = 3,   // an address could not be listened on
  kExitModelLoad = 4,  // the model could not be loaded
  kExitDeaf = 5,       // the port does not answer any more
};

// What a command line asks for: to run with `config` (complete and valid), or to end with `exit_code`,
// everything having been printed.
struct CommandLine {
  std::optional<v1::ServerConfig> config;
  int exit_code = kExitOk;
};

// Flags: --config FILE, --set PATH=VALUE (repeatable, applied in order after the file), --check_config,
// --print_config, --version, --help. Prints help, version and configuration to standard output, errors (one
// line) to standard error. Where the standard output does not take what is printed, that is one of them, with
// kExitFailure.
CommandLine ParseCommandLine(int argc, const char* const* argv);

}  // namespace kandinsky::server
