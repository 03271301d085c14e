#include "clients/cpp/command_output.h"

#include "absl/time/time.h"
#include "clients/cpp/rich_error.h"
#include "clients/cpp/server_address.h"
#include "clients/cpp/standard_streams.h"

namespace kandinsky::client {

int PrintError(const absl::Status& status, const CommandOutput& output) {
  const std::string code = absl::StatusCodeToString(status.code());
  const std::string message(status.message());
  output.err << "kandinsky: " << code << ": " << message << std::endl;
  if (!output.json) return kExitError;
  const RichError details = DetailsOf(status);
  nlohmann::ordered_json error = {{"code", code}, {"message", message}};
  if (!details.reason.empty()) error["reason"] = details.reason;
  for (const RichError::Violation& violation : details.violations) {
    error["violations"].push_back({{"field", violation.field}, {"rule", violation.rule}});
  }
  if (details.retry_after) error["retry_after_seconds"] = absl::ToDoubleSeconds(*details.retry_after);
  if (!details.error_id.empty()) error["error_id"] = details.error_id;
  PrintJson({{"error", error}}, output.out);
  return kExitError;
}

int PrintUsageError(const std::string& message, const CommandOutput& output) {
  const std::string line = OneLine(message);
  output.err << "kandinsky: " << line << std::endl;
  if (output.json) PrintJson({{"error", {{"code", "USAGE"}, {"message", line}}}}, output.out);
  return kExitUsage;
}

int PrintCallError(const absl::Status& status, const CallOptions& call, const CommandOutput& output) {
  const int code = PrintError(ExplainConnection(status, output.server), output);
  const bool interrupted = call.cancellation != nullptr && call.cancellation->cancelled();
  return interrupted && absl::IsCancelled(status) ? kExitInterrupted : code;
}

void PrintTruncations(const Truncations& truncations, const CommandOutput& output) {
  for (const v1::PromptTruncation& truncation : truncations) {
    output.err << "kandinsky: " << OneLine(truncation.field()) << " was cut from " << truncation.tokens()
               << " to " << truncation.kept_tokens() << " tokens" << std::endl;
  }
}

void AddTruncations(const Truncations& truncations, nlohmann::ordered_json& json) {
  for (const v1::PromptTruncation& truncation : truncations) {
    json["truncations"].push_back({{"field", truncation.field()},
                                   {"tokens", truncation.tokens()},
                                   {"kept_tokens", truncation.kept_tokens()}});
  }
}

std::ostream& ResultStream(const std::string& path, const CommandOutput& output) {
  return IsStandardOutput(path) ? output.err : output.out;
}

void PrintJson(const nlohmann::ordered_json& json, std::ostream& out) {
  out << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << std::endl;
}

nlohmann::ordered_json NumberToJson(uint64_t number) { return std::to_string(number); }

double ToSeconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos();
}

std::string ToText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()), absl::UTCTimeZone());
}

}  // namespace kandinsky::client
