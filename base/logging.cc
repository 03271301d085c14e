#include "base/logging.h"

#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/log_writer.h"

namespace kandinsky {
namespace {

constexpr absl::Duration kFlushTime = absl::Milliseconds(500);
constexpr size_t kMostValueBytes = 4096;

LogFormat g_format = LogFormat::kText;
LogLevel g_lowest = LogLevel::kInfo;

std::string TimestampedLine(LogLevel level, std::string_view message,
                            std::initializer_list<LogField> fields) {
  const std::string timestamp = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  return FormatLogLine(g_format, timestamp, level, message, fields) + "\n";
}

LogWriter& Writer() {
  // Never destroyed: its thread may be in a write that does not end.
  static LogWriter* const writer = [] {
    std::atexit(FlushLog);
    return new LogWriter(STDERR_FILENO, [](int64_t lost) {
      return TimestampedLine(LogLevel::kWarning, "log lines were lost", {{"lines", lost}});
    });
  }();
  return *writer;
}

// Leaves what an ostream has gathered.
class LogBuffer : public std::stringbuf {
 protected:
  int sync() override {
    if (!view().empty()) Writer().Write(view());
    str({});
    return 0;
  }
};

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

nlohmann::ordered_json ToJson(const LogField& field) {
  return std::visit(
      [](const auto& value) -> nlohmann::ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
          return std::string(value.substr(0, kMostValueBytes));
        } else {
          return value;
        }
      },
      field.value);
}

std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

void ConfigureLogging(LogFormat format, LogLevel lowest) {
  g_format = format;
  g_lowest = lowest;
}

std::string FormatLogLine(LogFormat format, std::string_view timestamp, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields) {
  if (format == LogFormat::kJson) {
    nlohmann::ordered_json line = {{"ts", std::string(timestamp)},
                                   {"level", std::string(LevelName(level))},
                                   {"msg", std::string(message)}};
    for (const LogField& field : fields) line[std::string(field.key)] = ToJson(field);
    return Dump(line);
  }
  std::string line(timestamp);
  line += ' ';
  line += LevelName(level);
  line += ' ';
  line += message;
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += Dump(ToJson(field));
  }
  return line;
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level >= g_lowest) Writer().Write(TimestampedLine(level, message, fields));
}

void Announce(std::string_view message, std::initializer_list<LogField> fields) {
  Writer().Write(TimestampedLine(LogLevel::kInfo, message, fields));
}

std::ostream& LogStream() {
  static auto* const buffer = new LogBuffer;
  static auto* const stream = new std::ostream(buffer);
  return *stream;
}

void FlushLog() { Writer().Flush(kFlushTime); }

int64_t LostLogLines() { return Writer().lost(); }

}  // namespace kandinsky
