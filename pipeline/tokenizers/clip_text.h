#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace kandinsky {

// How a CLIP text is prepared before byte-pair encoding, as the fast CLIP tokenizer of transformers 5 does
// it: equal for every character that ICU's Unicode version knows; newer ones count as unassigned here.

// Unicode NFC, then each code point to lower case by itself (no context rules such as final sigma). White
// space is not collapsed: it only separates words. Ill-formed UTF-8 becomes U+FFFD.
std::string NormalizeClipText(absl::string_view utf8);

// Calls `on_word` with every word of a normalized text, in order, as views into `text`. A word is one of
// 's 't 're 've 'm 'll 'd, a run of letters, a single number character, or a run of anything else but white
// space (Unicode categories L and N, property White_Space).
void ForEachClipWord(absl::string_view text, absl::FunctionRef<void(absl::string_view)> on_word);

}  // namespace kandinsky
