#include "server/prompt_text.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace kandinsky::server {

std::optional<std::string> PromptTextViolation(const std::string& text, size_t max_bytes) {
  if (text.size() > max_bytes) return absl::StrCat("must be at most ", max_bytes, " bytes");
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t at = 0; at < size;) {
    UChar32 character = 0;
    U8_NEXT(text.data(), at, size, character);
    if (character < 0) return "must be valid UTF-8";
    if (u_charType(character) == U_CONTROL_CHAR && !u_isUWhiteSpace(character)) {
      return "must not contain control characters other than tabs and line ends";
    }
  }
  return std::nullopt;
}

}  // namespace kandinsky::server
