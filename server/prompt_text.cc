#include "server/prompt_text.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

// Decodes the character at `position` and moves behind it. Nothing when the bytes there are not UTF-8.
std::optional<char32_t> NextCharacter(const std::string& text, size_t& position) {
  const auto byte_at = [&](size_t index) { return static_cast<uint8_t>(text[index]); };
  const uint8_t lead = byte_at(position);
  if (lead < 0x80) {
    ++position;
    return lead;
  }
  const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() - position < static_cast<size_t>(length)) return std::nullopt;
  char32_t character = lead & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    const uint8_t next = byte_at(position + static_cast<size_t>(i));
    if ((next & 0xC0) != 0x80) return std::nullopt;
    character = (character << 6) | (next & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
  if (character < kSmallest[length] || surrogate || character > 0x10FFFF) return std::nullopt;
  position += static_cast<size_t>(length);
  return character;
}

bool IsForbiddenControl(char32_t character) {
  if (character == '\t' || character == '\n') return false;
  return character < 0x20 || (character >= 0x7F && character <= 0x9F);
}

}  // namespace

std::optional<std::string> PromptTextViolation(const std::string& text, size_t max_bytes) {
  if (text.size() > max_bytes) return absl::StrCat("must be at most ", max_bytes, " bytes");
  for (size_t position = 0; position < text.size();) {
    const std::optional<char32_t> character = NextCharacter(text, position);
    if (!character.has_value()) return "must be valid UTF-8";
    if (IsForbiddenControl(*character))
      return "must not contain control characters other than tab and newline";
  }
  return std::nullopt;
}

bool IsBlank(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); });
}

}  // namespace kandinsky
