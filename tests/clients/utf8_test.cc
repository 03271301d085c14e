#include "clients/cpp/utf8.h"

#include <utility>

#include "tests/clients/program_test.h"

namespace kandinsky::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The places are those of the UnicodeDecodeError that Python's bytes.decode("utf-8") raises.
TEST(Utf8Test, TheFirstBadByteIsWherePythonFindsIt) {
  const std::vector<std::pair<std::string, std::optional<size_t>>> texts = {
      {"", std::nullopt},
      {"a cat", std::nullopt},
      {"a\xc3\xa4", std::nullopt},
      {"\xe2\x82\xac", std::nullopt},
      {"\xf0\x9f\x90\x88 cat", std::nullopt},
      {"\xed\x9f\xbf", std::nullopt},
      {"\xee\x80\x80", std::nullopt},
      {"\xf4\x8f\xbf\xbf", std::nullopt},
      {"\xf0\x90\x80\x80", std::nullopt},
      {"\xe0\xa0\x80", std::nullopt},
      {"\xc2\x80", std::nullopt},
      {"\x7f", std::nullopt},
      {"a \xff b", 2},
      {"\x80", 0},
      {"ab\xbf", 2},
      {"\xc0\x80", 0},
      {"\xc1\xbf", 0},
      {"a\xc3", 1},
      {"a\xc3(", 1},
      {"\xe0\x9f\xbf", 0},
      {"\xed\xa0\x80", 0},
      {"\xe2\x82", 0},
      {"\xe2(\xa1", 0},
      {"\xe2\x82(", 0},
      {"\xf0\x8f\xbf\xbf", 0},
      {"\xf4\x90\x80\x80", 0},
      {"\xf5\x80\x80\x80", 0},
      {"\xf0\x9f\x90", 0},
      {"\xf0\x9f\x90(", 0},
      {"\xc3\xa4\xc3\xa4\xfe", 4}};
  for (const auto& [text, place] : texts) EXPECT_EQ(FindBadUtf8(text), place) << testing::PrintToString(text);
  EXPECT_EQ(Utf8Error("cat"), "");
  EXPECT_EQ(Utf8Error("a \xff b"), "must be UTF-8, and the byte 0xff at 2 is not");
}

class Utf8ProgramTest : public ProgramTest {};

// And nothing of libprotobuf's.
TEST_F(Utf8ProgramTest, ATextThatIsNotUtf8IsOneLineBeforeAnyCall) {
  Serve({.events = {Completed()}});
  const std::string bad = "a \xff b";
  const std::vector<std::vector<std::string>> wrong = {
      {"prompt", "generate", bad},
      {"prompt", "generate", "cat", "\xc3"},
      {"--negative-prompt", "generate", "cat", "--negative-prompt", bad},
      {"--negative-prior-prompt", "generate", "cat", "--negative-prior-prompt", bad},
      {"--mix-text", "generate", "--mix-text", bad},
      {"text", "embed", "text", "cat", bad},
      {"prompt", "embed", "prompt", bad}};
  const auto error = [&](const std::vector<std::string>& arguments, const ChildOptions& options) {
    const auto program = Start(arguments, options);
    EXPECT_EQ(program->Wait(), kExitError) << testing::PrintToString(arguments);
    return program->ErrorOutput();
  };
  for (const std::vector<std::string>& row : wrong) {
    EXPECT_THAT(error({row.begin() + 1, row.end()}, {}),
                testing::MatchesRegex("kandinsky: INVALID_ARGUMENT: " + row[0] +
                                      ": must be UTF-8, and the byte 0x.. at [0-9]+ is not\n"));
  }
  EXPECT_EQ(error({"generate", "-"}, {.input = File("text", bad)}),
            "kandinsky: INVALID_ARGUMENT: prompt: must be UTF-8, and the byte 0xff at 2 is not\n");
  EXPECT_EQ(server_->calls(), 0);
}

TEST_F(Utf8ProgramTest, ANameThatIsNotUtf8IsWrongUsage) {
  const std::string bad = "a\xff";
  const std::vector<std::vector<std::string>> wrong = {{"--model", "generate", "cat", "--model", bad},
                                                       {"--adapter", "generate", "cat", "--adapter", bad},
                                                       {"--request-id", "edit", "cat", "--request-id", bad},
                                                       {"--client-id", "list", "--client-id", bad},
                                                       {"--of-client", "list", "--of-client", bad},
                                                       {"--model", "embed", "text", "cat", "--model", bad},
                                                       {"--model", "latents", "encode", "a", "--model", bad},
                                                       {"id", "get", bad},
                                                       {"id", "cancel", bad},
                                                       {"name", "models", bad}};
  for (const std::vector<std::string>& row : wrong) {
    EXPECT_EQ(UsageError({row.begin() + 1, row.end()}),
              "kandinsky: " + row[0] + ": must be UTF-8, and the byte 0xff at 1 is not\n");
  }
}

}  // namespace
}  // namespace kandinsky::client
