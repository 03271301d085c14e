#include "server/command_line.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "base/standard_descriptors.h"
#include "base/status_macros.h"
#include "server/config.h"
#include "server/listening_sockets.h"

namespace kandinsky::server {
namespace {

absl::StatusOr<v1::ServerConfig> BuildConfig(const std::string& file,
                                             const std::vector<std::string>& overrides) {
  v1::ServerConfig config;
  if (!file.empty()) {
    ASSIGN_OR_RETURN(config, ReadConfigFile(file));
  }
  for (const std::string& override_text : overrides) RETURN_IF_ERROR(ApplyOverride(override_text, config));
  return WithDefaults(config);
}

int Refuse(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "kandinsky-server: %s\n", std::string(status.message()).c_str());
  return exit_code;
}

// The exit code of a program that only prints.
int Print(const std::string& text) {
  const absl::Status status = WriteStandardOutput(text);
  return status.ok() ? kExitOk : Refuse(status, kExitFailure);
}

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app("Serves Kandinsky image models over gRPC.", "kandinsky-server");
  std::string file;
  std::vector<std::string> overrides;
  bool check = false;
  bool print = false;
  app.add_option("--config", file, "Configuration file: kandinsky.v1.ServerConfig as .textproto or .json");
  app.add_option("--set", overrides, "Override one field, e.g. --set engine.max_batch_rows=4 (repeatable)")
      ->type_name("PATH=VALUE")
      ->expected(1)
      ->take_all();
  app.add_flag("--check_config", check, "Check the configuration and exit");
  app.add_flag("--print_config", print, "Print the configuration with all defaults as text proto and exit");
  app.set_version_flag("--version", "kandinsky-server " KANDINSKY_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream text;
    return {std::nullopt, app.exit(error, text, std::cerr) == 0 ? Print(text.str()) : kExitUsage};
  }
  absl::StatusOr<v1::ServerConfig> config = BuildConfig(file, overrides);
  if (config.ok() && print) {
    const int exit_code = Print(PrintConfig(*config));
    if (!check || exit_code != kExitOk) return {std::nullopt, exit_code};
  }
  absl::Status status = config.ok() ? ValidateConfig(*config) : config.status();
  if (status.ok() && check) status = CheckListening(config->listen_address(), config->metrics_address());
  if (!status.ok()) return {std::nullopt, Refuse(status, kExitUsage)};
  if (check) return {};
  return {*std::move(config), kExitOk};
}

}  // namespace kandinsky::server
