#include "pipeline/tokenizers/clip_text.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace kandinsky {
namespace {

enum class CharacterClass { kSpace, kLetter, kNumber, kOther };

CharacterClass ClassOf(UChar32 c) {
  const uint32_t category = U_GET_GC_MASK(c);
  if (category & U_GC_L_MASK) return CharacterClass::kLetter;
  if (category & U_GC_N_MASK) return CharacterClass::kNumber;
  return u_isUWhiteSpace(c) ? CharacterClass::kSpace : CharacterClass::kOther;
}

struct Character {
  CharacterClass character_class;
  size_t end;  // offset behind it
};

Character CharacterAt(absl::string_view text, size_t offset) {
  auto next = static_cast<int32_t>(offset);
  UChar32 c;
  U8_NEXT_OR_FFFD(text.data(), next, static_cast<int32_t>(text.size()), c);
  return {ClassOf(c), static_cast<size_t>(next)};
}

size_t EndOfRun(absl::string_view text, size_t offset, CharacterClass character_class) {
  while (offset < text.size()) {
    const Character character = CharacterAt(text, offset);
    if (character.character_class != character_class) break;
    offset = character.end;
  }
  return offset;
}

// The length of the contraction at the start of `text`, 0 when there is none.
size_t ContractionLength(absl::string_view text) {
  for (const absl::string_view contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (absl::StartsWith(text, contraction)) return contraction.size();
  }
  return 0;
}

// The length of the special-token name at the start of `text`, 0 when there is none. Names that were not
// taken as tokens of their own (for instance because they were typed in capitals) still separate words.
size_t SpecialNameLength(absl::string_view text) {
  for (const absl::string_view name : {"<|startoftext|>", "<|endoftext|>"}) {
    if (absl::StartsWith(text, name)) return name.size();
  }
  return 0;
}

void AppendUtf8(UChar32 c, std::string& out) {
  char buffer[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, c);
  out.append(buffer, static_cast<size_t>(length));
}

std::string LowerCase(const icu::UnicodeString& text) {
  constexpr UChar32 kCapitalIWithDot = 0x130;  // the only code point with a longer lower-case form
  std::string lower;
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    const UChar32 c = text.char32At(i);
    if (c == kCapitalIWithDot) {
      lower += "i\u0307";
    } else {
      AppendUtf8(u_tolower(c), lower);
    }
  }
  return lower;
}

}  // namespace

std::string NormalizeClipText(absl::string_view utf8) {
  if (std::all_of(utf8.begin(), utf8.end(), absl::ascii_isascii)) return absl::AsciiStrToLower(utf8);
  const icu::UnicodeString text =
      icu::UnicodeString::fromUTF8(icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  icu::UnicodeString composed;
  if (U_SUCCESS(error)) nfc->normalize(text, composed, error);
  return LowerCase(U_SUCCESS(error) ? composed : text);
}

void ForEachClipWord(absl::string_view text, absl::FunctionRef<void(absl::string_view)> on_word) {
  const auto emit = [&](size_t begin, size_t end) {
    on_word(text.substr(begin, end - begin));
    return end;
  };
  for (size_t begin = 0; begin < text.size();) {
    const absl::string_view rest = text.substr(begin);
    const Character first = CharacterAt(text, begin);
    if (first.character_class == CharacterClass::kSpace) {
      begin = first.end;
    } else if (first.character_class == CharacterClass::kNumber) {
      begin = emit(begin, first.end);
    } else if (const size_t name_length = SpecialNameLength(rest); name_length > 0) {
      const size_t end = begin + name_length;
      emit(begin, begin + 2);
      emit(begin + 2, end - 2);
      begin = emit(end - 2, end);
    } else if (const size_t contraction_length = ContractionLength(rest); contraction_length > 0) {
      begin = emit(begin, begin + contraction_length);
    } else {
      begin = emit(begin, EndOfRun(text, begin, first.character_class));
    }
  }
}

}  // namespace kandinsky
