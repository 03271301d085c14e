#include "base/json_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace kandinsky {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text, const JsonLimits& limits = {}) {
  const auto json = ParseJson(text, "file.json", limits);
  EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(json.status().message());
}

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

TEST(ParseJsonTest, KeepsEveryKindOfValue) {
  const auto json =
      ParseJson(R"({"a": [1, -2, 1.5, true, null, "é"], "b": {"a": 18446744073709551615}})", "x");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["a"].size(), 6u);
  EXPECT_EQ((*json)["a"][5], "é");
  EXPECT_EQ((*json)["b"]["a"], UINT64_MAX);
}

TEST(ParseJsonTest, NamesFileAndPositionOfASyntaxError) {
  EXPECT_EQ(ErrorOf(R"({"a": })"), "file.json: not valid JSON at byte 7");
  EXPECT_EQ(ErrorOf(std::string("{}\0{}", 5)), "file.json: not valid JSON at byte 3");
  for (const char* text : {"", "{", "{} x", "// c\n{}", "{'a': 1}", "{\"a\": NaN}", "\"\xff\"", "[1,]"}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("not valid JSON")) << text;
  }
}

TEST(ParseJsonTest, RefusesAKeyTwiceInOneObjectOnly) {
  EXPECT_EQ(ErrorOf(R"({"b": {"a": 1, "a": 1}})"), "file.json: key \"a\" appears twice");
  EXPECT_TRUE(ParseJson(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})", "x").ok());
}

TEST(ParseJsonTest, RefusesDeepNesting) {
  EXPECT_TRUE(ParseJson(Nested(32), "x").ok());
  EXPECT_THAT(ErrorOf(Nested(33)), HasSubstr("nested deeper than 32 levels"));
  EXPECT_THAT(ErrorOf(std::string(500'000, '[')), HasSubstr("nested deeper than 32 levels"));
}

TEST(ParseJsonTest, RefusesIntegersBeyond64BitsUnlessAllowed) {
  const std::string big = "[1000000000000000019884624838656]";
  EXPECT_THAT(ErrorOf(big), HasSubstr("beyond 64 bits"));
  EXPECT_THAT(ErrorOf("[18446744073709551616]"), HasSubstr("beyond 64 bits"));
  EXPECT_EQ((*ParseJson(big, "x", {.allow_big_integers = true}))[0], 1e30);
  EXPECT_EQ((*ParseJson("[1e30]", "x"))[0], 1e30);
}

TEST(ParseJsonTest, RefusesTextAboveTheLimit) {
  EXPECT_TRUE(ParseJson("[1, 2]", "x", {.max_bytes = 6}).ok());
  EXPECT_THAT(ErrorOf("[1, 2]", {.max_bytes = 5}), HasSubstr("6 bytes of JSON, more than the limit of 5"));
}

TEST(ReadJsonFileTest, ReadsAFileAndNamesItInErrors) {
  std::string folder = std::filesystem::temp_directory_path() / "json_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/config.json";
  std::ofstream(path) << "[1]";
  EXPECT_EQ((*ReadJsonFile(path))[0], 1);
  std::ofstream(path) << "[";
  EXPECT_THAT(std::string(ReadJsonFile(path).status().message()), HasSubstr(path + ": not valid JSON"));
  std::ofstream(path) << std::string(100, ' ');
  EXPECT_EQ(ReadJsonFile(path, {.max_bytes = 99}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadJsonFile(folder + "/absent").status().code(), absl::StatusCode::kNotFound);
  std::filesystem::remove_all(folder);
}

TEST(ParseJsonTest, ReadsPythonsNonFiniteNumbersAsNullWhereAsked) {
  const std::string text = R"({"a": -Infinity, "b": [NaN, Infinity], "c": "NaN \" -Infinity", "NaN": 1})";
  EXPECT_FALSE(ParseJson(text, "x").ok());
  const auto json = ParseJson(text, "x", {.non_finite_as_null = true});
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_TRUE(json->at("a").is_null());
  EXPECT_TRUE(json->at("b")[0].is_null() && json->at("b")[1].is_null());
  EXPECT_EQ(json->at("c"), "NaN \" -Infinity");
  EXPECT_EQ(json->at("NaN"), 1);
}

}  // namespace
}  // namespace kandinsky
