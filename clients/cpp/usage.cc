#include "clients/cpp/usage.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/number_flags.h"
#include "clients/cpp/standard_streams.h"
#include "clients/cpp/utf8.h"

namespace kandinsky::client {
namespace {

// Insertions, removals and replacements of characters that lead from one word to the other.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

bool Given(const CLI::App& app, const std::string& flag) {
  const CLI::Option* const option = app.get_option_no_throw(flag);
  return option != nullptr && option->count() > 0;
}

// The command that was being read: the innermost that was named.
const CLI::App& Current(const CLI::App& program) {
  for (const CLI::App* const command : program.get_subcommands()) return Current(*command);
  return program;
}

// "kandinsky embed text".
std::string FullName(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name()
                                     : absl::StrCat(FullName(*app.get_parent()), " ", app.get_name());
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> FlagNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::string DidYouMean(const std::string& word, const std::vector<std::string>& names) {
  const std::string nearest = NearestName(word, names);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

std::string DescribeExtra(const CLI::App& app, const std::string& extra) {
  const std::string name = extra.substr(0, extra.find('='));
  if (!absl::StartsWith(name, "-")) return absl::StrCat("unexpected argument ", Quoted(extra));
  const std::vector<std::string> names = FlagNames(app);
  const bool misplaced = std::find(names.begin(), names.end(), name) != names.end();
  if (misplaced || app.get_parent() == nullptr) {
    return absl::StrCat("unknown flag ", Quoted(name), "; flags follow the command");
  }
  return absl::StrCat("unknown flag ", Quoted(name), DidYouMean(name, names));
}

}  // namespace

void RefuseTogether(const CLI::App& app, const std::string& first, const std::string& second,
                    const std::string& reason) {
  if (!Given(app, first) || !Given(app, second)) return;
  throw CLI::ValidationError(absl::StrCat(first, " and ", second, " contradict each other: ", reason));
}

void RefuseJsonBesideFile(const CLI::App& app, const std::string& path) {
  if (IsStandardOutput(path))
    RefuseTogether(app, "--json", "--output", "both would go to the standard output");
}

void RefuseAlone(const CLI::App& app, const std::string& flag, const std::string& needed) {
  if (Given(app, flag) && !Given(app, needed)) throw CLI::RequiresError(flag, needed);
}

void RefuseUnlessOk(const std::string& flag, const absl::Status& status) {
  if (!status.ok()) throw CLI::ValidationError(flag, std::string(status.message()));
}

CLI::Validator FileName() {
  return {[](std::string& path) { return std::string(path.empty() ? "the name of the file is empty" : ""); },
          ""};
}

CLI::Validator Utf8Text() {
  return {[](std::string& text) { return Utf8Error(text); }, ""};
}

std::string NearestName(const std::string& word, const std::vector<std::string>& names) {
  std::string nearest;
  size_t least = std::max<size_t>(word.size() / 3, 1) + 1;  // further away is another word
  for (const std::string& name : names) {
    const size_t distance = EditDistance(word, name);
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

std::string WrongCommand(const CLI::App& program, const std::vector<std::string>& arguments) {
  const CLI::App* app = &program;
  for (const std::string& word : arguments) {
    const std::vector<std::string> names = CommandNames(*app);
    if (names.empty() || absl::StartsWith(word, "-")) return "";
    const std::string all = absl::StrCat("the commands are ", absl::StrJoin(names, ", "));
    if (std::find(names.begin(), names.end(), word) == names.end()) {
      return absl::StrCat("unknown command ", Quoted(word), app == &program ? "" : " of " + app->get_name(),
                          DidYouMean(word, names).empty() ? "; " : DidYouMean(word, names) + " ", all);
    }
    app = app->get_subcommand(word);
  }
  const std::vector<std::string> names = CommandNames(*app);
  if (names.empty()) return "";
  return absl::StrCat("no command ", app == &program ? "" : "of " + app->get_name() + " ",
                      "is given; the commands are ", absl::StrJoin(names, ", "), "; see ", FullName(*app),
                      " --help");
}

std::string AmbiguousList(const std::vector<std::string>& arguments, const std::string& flag) {
  for (size_t i = 0; i + 1 < arguments.size() && arguments[i] != "--"; ++i) {
    size_t behind = i;
    if (arguments[i] == flag) behind = i + 2;
    if (absl::StartsWith(arguments[i], flag + "=")) behind = i + 1;
    if (behind == i || behind >= arguments.size()) continue;
    const std::string& word = arguments[behind];
    if (word.empty() || word.find_first_not_of("0123456789,") != std::string::npos) continue;
    return absl::StrCat(Quoted(word), " behind ", flag,
                        " could be one more of them or a word of the prompt; put commas ",
                        "between the numbers of ", flag, ", and the prompt before it");
  }
  return "";
}

std::string DescribeUsageError(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& app = Current(program);
  const std::string help = absl::StrCat("; see ", FullName(app), " --help");
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> extras = app.remaining();
    if (extras.empty()) extras = program.remaining(true);
    if (!extras.empty()) return absl::StrCat(DescribeExtra(app, extras.front()), help);
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string what = error.what();
    const std::string name = what.substr(0, what.find_first_of(": "));
    // CLI11 names a flag that takes none without its dashes.
    return absl::EndsWith(what, " missing") ? absl::StrCat(name, " needs a value", help)
                                            : absl::StrCat("--", name, " takes no value", help);
  }
  // Says itself what would be right.
  if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) return error.what();
  return absl::StrCat(error.what(), help);
}

}  // namespace kandinsky::client
