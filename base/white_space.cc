#include "base/white_space.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <cstdint>

namespace kandinsky {

bool IsBlank(absl::string_view utf8) { return StripWhiteSpace(utf8).empty(); }

absl::string_view StripWhiteSpace(absl::string_view utf8) {
  auto end = static_cast<int32_t>(utf8.size());
  for (int32_t next = end; next > 0; end = next) {
    UChar32 character = 0;
    U8_PREV(utf8.data(), 0, next, character);
    if (!u_isUWhiteSpace(character)) break;
  }
  int32_t begin = 0;
  for (int32_t next = 0; next < end; begin = next) {
    UChar32 character = 0;
    U8_NEXT(utf8.data(), next, end, character);
    if (!u_isUWhiteSpace(character)) break;
  }
  return utf8.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

}  // namespace kandinsky
