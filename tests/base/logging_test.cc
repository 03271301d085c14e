#include "base/logging.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kandinsky {
namespace {

TEST(FormatLogLineTest, TextHasTimeLevelMessageAndFields) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, "12:00", LogLevel::kWarning, "slow step",
                          {{"rows", int64_t{4}}, {"stage", "prior"}}),
            "12:00 warning slow step rows=4 stage=\"prior\"");
}

TEST(FormatLogLineTest, JsonIsOneObjectWithTypedValues) {
  const std::string line =
      FormatLogLine(LogFormat::kJson, "12:00", LogLevel::kError, "failed",
                    {{"seconds", 0.5}, {"rows", int64_t{4}}, {"last", true}, {"code", "INTERNAL"}});
  const nlohmann::json json = nlohmann::json::parse(line);
  EXPECT_EQ(json["ts"], "12:00");
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["msg"], "failed");
  EXPECT_EQ(json["seconds"], 0.5);
  EXPECT_EQ(json["rows"], 4);
  EXPECT_EQ(json["last"], true);
  EXPECT_EQ(json["code"], "INTERNAL");
}

TEST(FormatLogLineTest, HostileValuesStayInsideTheirLine) {
  const std::string hostile = "a\nb\"c\x1b[31m\\\r\x01 {\"level\":\"error\"}";
  for (const LogFormat format : {LogFormat::kJson, LogFormat::kText}) {
    const std::string line = FormatLogLine(format, "t", LogLevel::kInfo, "m", {{"value", hostile}});
    for (const char character : line) EXPECT_GE(static_cast<unsigned char>(character), 0x20);
  }
  const std::string json = FormatLogLine(LogFormat::kJson, "t", LogLevel::kInfo, "m", {{"value", hostile}});
  EXPECT_EQ(nlohmann::json::parse(json)["value"], hostile);
}

TEST(FormatLogLineTest, BytesThatAreNotUtf8AreReplaced) {
  const std::string line =
      FormatLogLine(LogFormat::kJson, "t", LogLevel::kInfo, "m", {{"value", "a\xff\xfe"}});
  EXPECT_EQ(nlohmann::json::parse(line)["value"], "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(FormatLogLineTest, NamesEveryLevel) {
  const std::pair<LogLevel, const char*> names[] = {{LogLevel::kDebug, "debug"},
                                                    {LogLevel::kInfo, "info"},
                                                    {LogLevel::kWarning, "warning"},
                                                    {LogLevel::kError, "error"}};
  for (const auto& [level, name] : names) {
    EXPECT_EQ(FormatLogLine(LogFormat::kText, "t", level, "m", {}), std::string("t ") + name + " m");
  }
}

TEST(LogTest, WritesToStandardErrorFromItsLevelUp) {
  ConfigureLogging(LogFormat::kJson, LogLevel::kWarning);
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "too low");
  Log(LogLevel::kWarning, "high enough", {{"rows", int64_t{1}}});
  const std::string text = testing::internal::GetCapturedStderr();
  ConfigureLogging(LogFormat::kText, LogLevel::kInfo);
  EXPECT_EQ(text.find("too low"), std::string::npos);
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(nlohmann::json::parse(text)["msg"], "high enough");
}

}  // namespace
}  // namespace kandinsky
