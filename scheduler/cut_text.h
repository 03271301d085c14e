#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// The text of a request with strict_prompt that is longer than what the model sees.
struct CutText {
  std::string field;    // PromptTokens::field
  int image_index = 0;  // whose text it is
};

// The INVALID_ARGUMENT with which such a request ends. Its message tells the numbers, not the field.
absl::Status CutTextError(const PromptTokens& text, int image_index);

// What such an error is about; nothing for any other status.
std::optional<CutText> CutTextOf(const absl::Status& status);

}  // namespace kandinsky
