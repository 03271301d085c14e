#include "clients/cpp/command_set.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/server_address.h"
#include "clients/cpp/usage.h"

namespace kandinsky::client {
namespace {

// CLI11 takes "[a, b]" for a list of two wherever a flag or a prompt can have several values. Arguments in
// brackets get this mark in front, and lose it when their flag is read.
constexpr char kBracketMark = '\x01';

constexpr double kMostSeconds = 86400;

std::string MarkBrackets(std::string argument) {
  const bool bracketed = !argument.empty() && argument.front() == '[' && argument.back() == ']';
  return bracketed ? kBracketMark + argument : argument;
}

std::string UnmarkBrackets(std::string value) {
  const bool marked = value.size() > 1 && value[0] == kBracketMark && value[1] == '[';
  return marked ? value.substr(1) : value;
}

// What holds for every flag: brackets have no meaning, of several values the last one holds, unless they are
// a list, and one without a value takes none.
void SetFlagRules(CLI::App& app) {
  for (CLI::Option* const option : app.get_options()) {
    const bool takes_one = option->get_items_expected_max() <= 1 && !option->get_trigger_on_parse();
    if (takes_one && !option->get_positional()) option->take_last();
    if (option->get_expected_max() > 0) {
      option->transform(UnmarkBrackets, "");
    } else {
      option->disable_flag_override();
    }
  }
}

// CLI11 takes the argument behind "--flag=" for the value of the flag.
std::vector<std::string> SplitEmptyValues(const std::vector<std::string>& arguments) {
  std::vector<std::string> split;
  bool words_only = false;
  for (const std::string& argument : arguments) {
    words_only = words_only || argument == "--";
    const bool empty_value =
        !words_only && argument.rfind("--", 0) == 0 && argument.find('=') == argument.size() - 1;
    split.push_back(empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (empty_value) split.emplace_back();
  }
  return split;
}

void AddCallFlags(CLI::App& app, CallFlags& flags) {
  app.option_defaults()->group("Call");
  app.add_option("--server", flags.server, "host:port of the server")->capture_default_str();
  app.add_option("--client-id", flags.client_id,
                 "Who asks: clients share the server evenly, and a request belongs to its client")
      ->check(Utf8Text());
  AddNumberFlag<double>(app, "--timeout", flags.timeout_seconds,
                        {.min = 0, .max = kMostSeconds, .above_min = true},
                        "Seconds until the call is given up (default: the server's)");
  app.add_flag("--json", flags.json, "Prints the result, or the error, as a JSON object");
}

}  // namespace

CommandSet::CommandSet() : program_("Client of a Kandinsky image generation server.", "kandinsky") {
  program_.require_subcommand(0, 1);  // none is found out by WrongCommand
  program_.set_version_flag("--version", "kandinsky " KANDINSKY_VERSION, "Prints the version and ends");
  program_.footer(
      "kandinsky COMMAND --help lists the flags of a command; they follow its name. \"-\" is the standard "
      "input where a "
      "file or a text is read, and the standard output where one is written.\n"
      "Exit codes: 0 done, 1 the request failed or a file or stream could not be read or written, 2 wrong "
      "usage, 130 "
      "ended by Ctrl-C.");
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
  group->require_subcommand(0, 1);
  return *group;
}

std::optional<int> CommandSet::Parse(int argc, const char* const* argv, const CommandOutput& output) {
  for (const Entry& entry : entries_) {
    AddCallFlags(*entry.app, flags_);
    SetFlagRules(*entry.app);
  }
  std::vector<std::string> arguments = SplitEmptyValues({argv + std::min(argc, 1), argv + argc});
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  CommandOutput usage = output;
  usage.json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  return ParseArguments(arguments, usage);
}

std::optional<int> CommandSet::ParseArguments(const std::vector<std::string>& arguments,
                                              const CommandOutput& output) {
  if (const std::string wrong = WrongCommand(program_, arguments); !wrong.empty()) {
    return PrintUsageError(wrong, output);
  }
  if (const std::string wrong = AmbiguousList(arguments, "--seeds"); !wrong.empty()) {
    return PrintUsageError(wrong, output);
  }
  std::vector<std::string> reversed;  // as CLI11 wants them
  for (auto argument = arguments.rbegin(); argument != arguments.rend(); ++argument) {
    reversed.push_back(MarkBrackets(*argument));
  }
  try {
    program_.parse(reversed);
    RefuseUnlessOk("--server", CheckServerAddress(flags_.server));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return PrintUsageError(DescribeUsageError(program_, error), output);
    std::ostringstream text;
    program_.exit(error, text);
    output.out << text.str() << (absl::EndsWith(text.str(), "\n") ? "" : "\n");
    return 0;
  }
  return std::nullopt;
}

int CommandSet::RunParsed(ImageClient& client, const CallOptions& call, const CommandOutput& output) const {
  for (const Entry& entry : entries_) {
    if (entry.app->parsed()) return entry.run(client, call, output);
  }
  return kExitUsage;
}

}  // namespace kandinsky::client
