#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "pipeline/tokenizers/clip_vocabulary.h"

namespace kandinsky {

// Token -> id.
using Vocabulary = absl::flat_hash_map<std::string, int64_t>;

// Byte-level byte-pair encoding with an end-of-word mark, as CLIP uses it. Immutable and thread-safe.
class BytePairEncoder {
 public:
  // `merges` in order of rank. Bytes whose symbol is not in the vocabulary become `unknown_id`.
  // INVALID_ARGUMENT when a merge names or makes a token that the vocabulary lacks.
  static absl::StatusOr<BytePairEncoder> Create(const Vocabulary& vocabulary,
                                                const std::vector<Merge>& merges, int64_t unknown_id);

  // Appends the ids of one word (not empty, any bytes) to `ids`. Takes O(n log n) for n bytes: returns how
  // many candidate merges were looked at, at most 3 n.
  size_t EncodeWord(absl::string_view word, std::vector<int64_t>& ids) const;

 private:
  struct MergeRule {
    int32_t rank;
    int64_t merged_id;
  };
  using MergeRules = absl::flat_hash_map<std::pair<int64_t, int64_t>, MergeRule>;
  class Word;

  BytePairEncoder() = default;

  std::array<int64_t, 256> byte_ids_;
  std::array<int64_t, 256> last_byte_ids_;  // of the bytes that end a word
  MergeRules rules_;
};

}  // namespace kandinsky
