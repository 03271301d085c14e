#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"
#include "server/command_line.h"
#include "server/run_server.h"

int main(int argc, char** argv) {
  const kandinsky::CommandLine command_line = kandinsky::ParseCommandLine(argc, argv);
  if (!command_line.config.has_value()) return command_line.exit_code;
  const kandinsky::v1::ServerConfig& config = *command_line.config;
  return kandinsky::RunServer(config, [&config] {
    return kandinsky::LoadKandinsky({.model_name = config.model().name(),
                                     .model_path = config.model().path(),
                                     .prior_path = config.model().prior_path(),
                                     .threads = config.model().threads()},
                                    config.workers());
  });
}
