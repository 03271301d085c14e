#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "pipeline/tokenizers/byte_pair_encoder.h"
#include "pipeline/tokenizers/clip_tokenizer_files.h"
#include "pipeline/tokenizers/text_tokens.h"

namespace kandinsky {

// CLIP's byte-pair tokenizer. Gives the ids of transformers' fast CLIPTokenizer (5.23) called with
// padding="max_length", truncation=True: NFC, lower case, byte-level byte-pair encoding; names of special
// tokens typed in the text become special ids. Immutable and thread-safe.
class ClipTokenizer {
 public:
  // Reads a tokenizer folder; errors as ReadClipTokenizerFiles, and INVALID_ARGUMENT when merges and
  // vocabulary disagree.
  static absl::StatusOr<std::shared_ptr<const ClipTokenizer>> Load(const std::string& folder);

  // Any bytes are accepted (ill-formed UTF-8 counts as U+FFFD). A text of more than max_length() - 2 tokens
  // is cut, the end token always stays; ids and mask have max_length() entries. Takes O(n log n).
  TextTokens Encode(absl::string_view utf8) const;

  int max_length() const { return max_length_; }
  // One more than the largest id; not above the vocab_size of a text encoder that fits.
  int64_t vocabulary_size() const { return vocabulary_size_; }
  int64_t begin_id() const { return begin_id_; }
  int64_t end_id() const { return end_id_; }
  int64_t pad_id() const { return pad_id_; }

 private:
  // Finds the literal names of added tokens in a text.
  class Matcher {
   public:
    struct Match {
      size_t begin;
      size_t end;
      int64_t id;
    };
    explicit Matcher(std::vector<AddedToken> tokens);
    // The leftmost match at or after `from`, the longest of those; begin == npos when there is none.
    Match FindNext(absl::string_view text, size_t from) const;

   private:
    std::vector<AddedToken> tokens_;  // longest first
    std::array<bool, 256> starts_token_ = {};
  };

  ClipTokenizer(const ClipTokenizerFiles& files, BytePairEncoder encoder);

  void AppendRawText(absl::string_view text, std::vector<int64_t>& ids) const;
  void AppendNormalizedText(absl::string_view text, std::vector<int64_t>& ids) const;
  void AppendWords(absl::string_view text, std::vector<int64_t>& ids) const;

  const BytePairEncoder encoder_;
  const Matcher raw_matcher_;
  const Matcher normalized_matcher_;
  const int64_t begin_id_;
  const int64_t end_id_;
  const int64_t pad_id_;
  const int max_length_;
  int64_t vocabulary_size_ = 0;
};

}  // namespace kandinsky
