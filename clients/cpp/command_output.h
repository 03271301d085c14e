#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "clients/cpp/image_client.h"

namespace kandinsky::client {

// Exit codes of the program.
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

// Where a command writes, and how.
struct CommandOutput {
  std::ostream& out;
  std::ostream& err;
  bool json = false;        // result and errors as one JSON object on `out`
  std::string server = {};  // its address, for errors of the way to it
};

// One line on `err`, and with --json an object on `out`. Returns kExitError.
int PrintError(const absl::Status& status, const CommandOutput& output);

// The same for wrong usage. Returns kExitUsage.
int PrintUsageError(const std::string& message, const CommandOutput& output);

// PrintError for the error of a call. Returns kExitInterrupted when `call.cancellation` ended it.
int PrintCallError(const absl::Status& status, const CallOptions& call, const CommandOutput& output);

// Prompts that were cut.
using Truncations = google::protobuf::RepeatedPtrField<v1::PromptTruncation>;

// A line on `err` for each.
void PrintTruncations(const Truncations& truncations, const CommandOutput& output);

// Adds them to a result as "truncations", if there are any.
void AddTruncations(const Truncations& truncations, nlohmann::ordered_json& json);

// Where the result in words goes: not to the standard output when the file `path` is written there.
std::ostream& ResultStream(const std::string& path, const CommandOutput& output);

// An object as one line; what is not UTF-8 in its texts is replaced.
void PrintJson(const nlohmann::ordered_json& json, std::ostream& out);

// A 64-bit number as JSON: a string, as in protobuf's JSON, for most readers have doubles.
nlohmann::ordered_json NumberToJson(uint64_t number);

double ToSeconds(const google::protobuf::Duration& duration);

// RFC 3339 in UTC with whole seconds, e.g. "2026-01-31T09:15:00Z".
std::string ToText(const google::protobuf::Timestamp& time);

}  // namespace kandinsky::client
