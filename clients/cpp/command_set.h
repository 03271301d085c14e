#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/command_output.h"
#include "clients/cpp/image_client.h"

namespace kandinsky::client {

// The flags of every command.
struct CallFlags {
  std::string server = "localhost:50051";
  std::string client_id;
  std::optional<double> timeout_seconds;
  bool json = false;
};

// The commands of the program. The families of commands add theirs; then Parse finds out which one is meant.
class CommandSet {
 public:
  // What a command does once its flags are parsed; returns the program's exit code.
  using Run = std::function<int(ImageClient& client, const CallOptions& call, const CommandOutput& output)>;

  CommandSet();
  CommandSet(const CommandSet&) = delete;
  CommandSet& operator=(const CommandSet&) = delete;

  // A new command, to which its own flags can be added. What it keeps in them, `run` holds on to.
  CLI::App& Add(const std::string& name, const std::string& description, Run run);

  // The same, for a command of the group `group` that AddGroup made.
  CLI::App& Add(CLI::App& group, const std::string& name, const std::string& description, Run run);

  // A name in front of the names of commands, as in `kandinsky embed text`.
  CLI::App& AddGroup(const std::string& name, const std::string& description);

  // Reads the arguments. The exit code when there is nothing to run: 0 after --help and --version, kExitUsage
  // after an error, each with its text on `output`.
  std::optional<int> Parse(int argc, const char* const* argv, const CommandOutput& output);

  // After Parse.
  const CallFlags& flags() const { return flags_; }
  int RunParsed(ImageClient& client, const CallOptions& call, const CommandOutput& output) const;

 private:
  struct Entry {
    CLI::App* app = nullptr;
    Run run;
  };

  std::optional<int> ParseArguments(const std::vector<std::string>& arguments, const CommandOutput& output);

  CLI::App program_;
  CallFlags flags_;
  std::vector<Entry> entries_;
};

}  // namespace kandinsky::client
