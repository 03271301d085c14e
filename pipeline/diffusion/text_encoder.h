#pragma once

#include <torch/types.h>

#include <string>

#include "absl/types/span.h"
#include "pipeline/tokenizers/text_tokens.h"

namespace kandinsky {

// What a text encoder makes of texts; a row depends on its own text alone.
struct TextFeatures {
  torch::Tensor pooled;         // [N, embedding width], one vector per text; undefined if there is none
  torch::Tensor hidden_states;  // [N, tokens of the window, width]
  torch::Tensor mask;           // bool [N, tokens of the window], true for the tokens of the text
};

// Rows begin .. begin + count - 1, as views.
TextFeatures SelectRows(const TextFeatures& features, int64_t begin, int64_t count);

// A text encoder with its tokenizer. Immutable and thread-safe.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;

  // Any bytes are accepted; longer texts are cut to the window.
  virtual TextTokens Tokenize(const std::string& text) const = 0;

  // Runs the network once over all texts, >= 1. Throws what libtorch throws.
  virtual TextFeatures Encode(absl::Span<const TextTokens* const> texts) const = 0;
};

}  // namespace kandinsky
