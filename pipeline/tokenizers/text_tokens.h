#pragma once

#include <cstdint>
#include <vector>

namespace kandinsky {

// What a tokenizer makes of one text, cut and padded to its window.
struct TextTokens {
  std::vector<int64_t> ids;   // as many as the window has
  std::vector<uint8_t> mask;  // as long as ids: 1 from begin to end token, 0 on padding
  int total_tokens = 0;       // tokens of the whole text, begin and end token included
  int kept = 0;               // ones in mask
};

}  // namespace kandinsky
