#include "server/prompt_text.h"

#include <gtest/gtest.h>

namespace kandinsky::server {
namespace {

struct TextCase {
  const char* name;
  std::string text;
  bool allowed;
};

class PromptText : public testing::TestWithParam<TextCase> {};

TEST_P(PromptText, IsJudgedByItsCharacters) {
  const auto violation = PromptTextViolation(GetParam().text, 64);
  EXPECT_EQ(!violation.has_value(), GetParam().allowed) << violation.value_or("");
}

INSTANTIATE_TEST_SUITE_P(
    All, PromptText,
    testing::Values(
        TextCase{"Empty", "", true}, TextCase{"Ascii", "a red cat", true},
        TextCase{"TabAndNewline", "a\tb\nc", true}, TextCase{"Cyrillic", "красный кот", true},
        TextCase{"RightToLeft", "قط أحمر", true},
        TextCase{"EmojiWithJoiners", "\U0001F468\u200D\U0001F469\u200D\U0001F467", true},
        TextCase{"CombiningMarks", "e\u0301\u0302\u0303", true},
        TextCase{"LastCharacter", "\xF4\x8F\xBF\xBF", true}, TextCase{"Nul", std::string("a\0b", 3), false},
        TextCase{"LineEnds", "a\r\nb\rc\u0085d\u2028e\u2029f", true},
        TextCase{"TabsAndPages", "a\tb\vc\fd", true}, TextCase{"Spaces", "a\u00A0b\u2009c\u3000d", true},
        TextCase{"Backspace", "a\b", false}, TextCase{"ShiftOut", "a\x0E", false},
        TextCase{"Escape", "a\x1B[31m", false}, TextCase{"FileSeparator", "a\x1C", false},
        TextCase{"UnitSeparator", "a\x1F", false}, TextCase{"Delete", "a\x7F", false},
        TextCase{"C1BeforeNextLine", "\xC2\x84", false}, TextCase{"C1AfterNextLine", "\xC2\x86", false},
        TextCase{"AfterC1", "\xC2\xA0", true}, TextCase{"LoneContinuation", "\x80", false},
        TextCase{"OverlongSlash", "\xC0\xAF", false}, TextCase{"OverlongThreeBytes", "\xE0\x80\xAF", false},
        TextCase{"OverlongFourBytes", "\xF0\x80\x80\xAF", false},
        TextCase{"Surrogate", "\xED\xA0\x80", false}, TextCase{"BeyondUnicode", "\xF4\x90\x80\x80", false},
        TextCase{"FiveBytes", "\xF8\x88\x80\x80\x80", false}, TextCase{"Truncated", "a\xE2\x82", false},
        TextCase{"MissingContinuation", "\xE2\x82z", false}),
    [](const auto& info) { return info.param.name; });

TEST(PromptText, MayBeExactlyAsLongAsTheLimit) {
  EXPECT_EQ(PromptTextViolation(std::string(63, 'a'), 64), std::nullopt);
  EXPECT_EQ(PromptTextViolation(std::string(64, 'a'), 64), std::nullopt);
  EXPECT_EQ(PromptTextViolation(std::string(65, 'a'), 64), "must be at most 64 bytes");
}

}  // namespace
}  // namespace kandinsky::server
