#include "clients/cpp/command_set.h"

#include <utility>

namespace kandinsky {
namespace {

// CLI11 takes "[a, b]" for a list of two wherever a flag or a prompt can have several values. Arguments in
// brackets get this mark in front, and lose it when their flag is read.
constexpr char kBracketMark = '\x01';

std::string MarkBrackets(std::string argument) {
  const bool bracketed = !argument.empty() && argument.front() == '[' && argument.back() == ']';
  return bracketed ? kBracketMark + argument : argument;
}

std::string UnmarkBrackets(std::string value) {
  const bool marked = value.size() > 1 && value[0] == kBracketMark && value[1] == '[';
  return marked ? value.substr(1) : value;
}

void UnmarkBracketsOf(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    if (option->get_expected_max() > 0) option->transform(UnmarkBrackets, "");
  }
}

void AddCallFlags(CLI::App& app, CallFlags& flags) {
  app.option_defaults()->group("Call");
  app.add_option("--server", flags.server, "host:port of the server")->capture_default_str();
  app.add_option("--client-id", flags.client_id,
                 "Who asks: clients share the server evenly, and a request belongs to its client");
  app.add_option("--timeout", flags.timeout_seconds,
                 "Seconds until the call is given up (default: the server's)")
      ->check(CLI::PositiveNumber);
  app.add_flag("--json", flags.json, "Prints the result, or the error, as a JSON object");
}

}  // namespace

CommandSet::CommandSet() : program_("Client of a Kandinsky image generation server.", "kandinsky") {
  program_.require_subcommand(1);
}

CLI::App& CommandSet::Add(const std::string& name, const std::string& description, Run run) {
  return Add(program_, name, description, std::move(run));
}

CLI::App& CommandSet::Add(CLI::App& group, const std::string& name, const std::string& description, Run run) {
  CLI::App* const app = group.add_subcommand(name, description);
  entries_.push_back({app, std::move(run)});
  return *app;
}

CLI::App& CommandSet::AddGroup(const std::string& name, const std::string& description) {
  CLI::App* const group = program_.add_subcommand(name, description);
  group->require_subcommand(1);
  return *group;
}

std::optional<int> CommandSet::Parse(int argc, const char* const* argv) {
  for (const Entry& entry : entries_) {
    AddCallFlags(*entry.app, flags_);
    UnmarkBracketsOf(*entry.app);
  }
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i)
    arguments.push_back(MarkBrackets(argv[i]));  // CLI11 wants the last one first
  try {
    program_.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return program_.exit(error) == 0 ? 0 : kExitUsage;
  }
  return std::nullopt;
}

int CommandSet::RunParsed(ImageClient& client, const CallOptions& call, const CommandOutput& output) const {
  for (const Entry& entry : entries_) {
    if (entry.app->parsed()) return entry.run(client, call, output);
  }
  return kExitUsage;
}

}  // namespace kandinsky
