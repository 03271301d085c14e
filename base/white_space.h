#pragma once

#include "absl/strings/string_view.h"

namespace kandinsky {

// White space is what Unicode's property White_Space says, as for the CLIP tokenizers: spaces of every width
// (U+0020, U+00A0, U+3000, ...), tabs and line ends (U+0009-000D, U+0085, U+2028, U+2029). Python's
// str.isspace() counts U+001C-001F too; they are none here. Ill-formed bytes are none either.
// Texts are shorter than 2 GiB.

// Whether UTF-8 text has nothing but white space; true of an empty one.
bool IsBlank(absl::string_view utf8);

// UTF-8 text without the white space at its ends.
absl::string_view StripWhiteSpace(absl::string_view utf8);

}  // namespace kandinsky
