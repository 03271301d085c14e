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

TEST(FormatLogLineTest, LongValuesAreCut) {
  const std::string line =
      FormatLogLine(LogFormat::kJson, "t", LogLevel::kInfo, "m", {{"value", std::string(100'000, 'a')}});
  EXPECT_EQ(nlohmann::json::parse(line)["value"], std::string(4096, 'a'));
}

// What standard error gets.
class LogTest : public testing::Test {
 protected:
  LogTest() {
    FlushLog();
    testing::internal::CaptureStderr();
  }
  ~LogTest() override { ConfigureLogging(LogFormat::kText, LogLevel::kInfo); }

  static std::string Written() {
    FlushLog();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, WritesToStandardErrorFromItsLevelUp) {
  ConfigureLogging(LogFormat::kJson, LogLevel::kWarning);
  Log(LogLevel::kInfo, "too low");
  Log(LogLevel::kWarning, "high enough", {{"rows", int64_t{1}}});
  const std::string text = Written();
  EXPECT_EQ(text.find("too low"), std::string::npos);
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(nlohmann::json::parse(text)["msg"], "high enough");
}

TEST_F(LogTest, AnnouncesAtEveryLevel) {
  ConfigureLogging(LogFormat::kJson, LogLevel::kError);
  Announce("listening", {{"port", int64_t{1}}});
  const auto line = nlohmann::json::parse(Written());
  EXPECT_EQ(line["msg"], "listening");
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["port"], 1);
}

TEST_F(LogTest, PassesTextsOnAsTheyAre) {
  LogStream() << "\rstep " << 1 << std::flush << " of 2" << std::endl;
  EXPECT_EQ(Written(), "\rstep 1 of 2\n");
}

}  // namespace
}  // namespace kandinsky
