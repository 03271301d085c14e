#include "base/white_space.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace kandinsky {
namespace {

// Unicode's PropList.txt, White_Space.
const std::vector<std::string>& WhiteSpace() {
  static const auto* const all = new std::vector<std::string>{
      "\t",     "\n",     "\v",     "\f",     "\r",     " ",      "\u0085", "\u00A0", "\u1680",
      "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
      "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};
  return *all;
}

TEST(IsBlankTest, OfEveryKindOfWhiteSpace) {
  EXPECT_TRUE(IsBlank(""));
  std::string all;
  for (const std::string& space : WhiteSpace()) {
    EXPECT_TRUE(IsBlank(space)) << space;
    EXPECT_FALSE(IsBlank(space + "a" + space)) << space;
    all += space;
  }
  EXPECT_TRUE(IsBlank(all));
}

TEST(IsBlankTest, NotOfWhatOnlyLooksLikeIt) {
  for (const char* text : {"a", ".", "\x1C", "\x1D", "\x1E", "\x1F", "\u180E", "\u200B", "\u200D", "\u2060",
                           "\uFEFF", "\u2800", "\u3164", "\xC2", "\x85", "\xA0", "\xE3\x80"}) {
    EXPECT_FALSE(IsBlank(text)) << text;
  }
  EXPECT_FALSE(IsBlank(absl::string_view("\0", 1)));
}

TEST(StripWhiteSpaceTest, TakesItOffTheEndsOnly) {
  for (const std::string& space : WhiteSpace()) {
    EXPECT_EQ(StripWhiteSpace(space + " a" + space + "кот" + space + space), "a" + space + "кот") << space;
    EXPECT_EQ(StripWhiteSpace(space + space), "") << space;
  }
  EXPECT_EQ(StripWhiteSpace("кот"), "кот");
  EXPECT_EQ(StripWhiteSpace("\u2009\xE2\x80 "), "\xE2\x80");
}

}  // namespace
}  // namespace kandinsky
