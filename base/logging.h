#pragma once

#include <cstdint>
#include <initializer_list>
#include <iosfwd>
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

// Leaves one line for the log's thread; `message` is a constant phrase, variable parts go into fields, of
// whose texts at most 4 KiB are kept. Thread-safe, never throws, and never waits: not for a reader of
// standard error that has stopped, not for a full disk. 4096 lines are kept; then the oldest are lost. A line
// "log lines were lost" with their number follows the first that can be written again. What is left when the
// process ends by exit is still written, for at most half a second; before _exit call FlushLog.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

// The same at level info, whatever the lowest level is: for what nobody can do without.
void Announce(std::string_view message, std::initializer_list<LogField> fields = {});

// Texts for people (progress, errors) that go the same way as the log's lines, as they are; each flush leaves
// one. For one thread.
std::ostream& LogStream();

// Waits until everything is written or lost, for at most half a second.
void FlushLog();

// Lines and texts of the process that nobody will read.
int64_t LostLogLines();

// The line that Log would write in `format`, without the newline. For tests.
std::string FormatLogLine(LogFormat format, std::string_view timestamp, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields);

}  // namespace kandinsky
