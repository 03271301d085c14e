#include "clients/cpp/utf8.h"

#include <cstdint>

#include "absl/strings/str_format.h"

namespace kandinsky::client {
namespace {

// The bytes that follow a first byte, and the range of the first of them; the others are 80 to BF.
struct Sequence {
  size_t following;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

std::optional<Sequence> SequenceOf(uint8_t first) {
  if (first < 0x80) return Sequence{0};
  if (first < 0xC2) return std::nullopt;  // overlong, or no first byte
  if (first < 0xE0) return Sequence{1};
  if (first == 0xE0) return Sequence{2, 0xA0};        // not overlong
  if (first == 0xED) return Sequence{2, 0x80, 0x9F};  // no surrogate
  if (first < 0xF0) return Sequence{2};
  if (first == 0xF0) return Sequence{3, 0x90};        // not overlong
  if (first == 0xF4) return Sequence{3, 0x80, 0x8F};  // at most U+10FFFF
  if (first < 0xF4) return Sequence{3};
  return std::nullopt;
}

// Whether a whole character stands at `at`; moves behind it.
bool SkipCharacter(const std::string& text, size_t& at) {
  const std::optional<Sequence> sequence = SequenceOf(static_cast<uint8_t>(text[at]));
  if (!sequence || text.size() - at <= sequence->following) return false;
  for (size_t i = 1; i <= sequence->following; ++i) {
    const auto byte = static_cast<uint8_t>(text[at + i]);
    if (byte < (i == 1 ? sequence->low : 0x80) || byte > (i == 1 ? sequence->high : 0xBF)) return false;
  }
  at += 1 + sequence->following;
  return true;
}

}  // namespace

std::optional<size_t> FindBadUtf8(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    if (!SkipCharacter(text, at)) return at;
  }
  return std::nullopt;
}

std::string Utf8Error(const std::string& text) {
  const std::optional<size_t> bad = FindBadUtf8(text);
  if (!bad) return "";
  return absl::StrFormat("must be UTF-8, and the byte 0x%02x at %d is not", static_cast<uint8_t>(text[*bad]),
                         *bad);
}

}  // namespace kandinsky::client
