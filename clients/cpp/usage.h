#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace kandinsky::client {

// Wrong usage of the program, in words for people.

// Throws CLI::ParseError when both were given, e.g. "--seed and --seeds contradict each other: REASON".
void RefuseTogether(const CLI::App& app, const std::string& first, const std::string& second,
                    const std::string& reason);

// Throws CLI::ParseError when the command writes its file `path` to the standard output, and --json its
// result.
void RefuseJsonBesideFile(const CLI::App& app, const std::string& path);

// Throws CLI::ParseError when `flag` was given without `needed`.
void RefuseAlone(const CLI::App& app, const std::string& flag, const std::string& needed);

// Throws CLI::ParseError unless `status` is OK: "FLAG: MESSAGE".
void RefuseUnlessOk(const std::string& flag, const absl::Status& status);

// For CLI::Option::check: the name of a file must not be empty, which would be no file at all.
CLI::Validator FileName();

// For CLI::Option::check: a text of a request must be UTF-8.
CLI::Validator Utf8Text();

// The name among `names` that `word` was most likely meant to be; empty when none is near.
std::string NearestName(const std::string& word, const std::vector<std::string>& names);

// What is wrong with a command's name, when `arguments` (without the program's name) begin with none of
// `program`'s commands and none of its flags; empty otherwise.
std::string WrongCommand(const CLI::App& program, const std::vector<std::string>& arguments);

// What is wrong with words right behind the list of `flag`, which the program would take for the prompt's
// though they look like more of the list, as in "--seeds 1 2"; empty when nothing is.
std::string AmbiguousList(const std::vector<std::string>& arguments, const std::string& flag);

// An error of CLI11's as one line, with a hint where there is one.
std::string DescribeUsageError(const CLI::App& program, const CLI::ParseError& error);

}  // namespace kandinsky::client
