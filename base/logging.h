#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

namespace kandinsky {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// kJson: one JSON object a line. kText: for people at a terminal.
enum class LogFormat { kJson, kText };

// One key and value of a log line. Values are escaped; prompts and secrets must not be passed.
struct LogField {
  std::string_view key;
  std::variant<std::string_view, int64_t, double, bool> value;
};

// Sets format and lowest level of the process's log, which goes to standard error. Not thread-safe: call it
// before threads start. Without a call: text, kInfo.
void ConfigureLogging(LogFormat format, LogLevel lowest);

// Writes one line; `message` is a constant phrase, variable parts go into fields. Thread-safe, never throws,
// and never blocks on anything but standard error itself.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// The line that Log would write in `format`, without the newline. For tests.
std::string FormatLogLine(LogFormat format, std::string_view timestamp, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields);

}  // namespace kandinsky
