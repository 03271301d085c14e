#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/tokenizers/byte_pair_encoder.h"
#include "pipeline/tokenizers/clip_vocabulary.h"

namespace kandinsky {

// A token that is found in the text before anything is split, by its literal name.
struct AddedToken {
  std::string content;  // not empty
  int64_t id = 0;
  bool normalized = false;  // found in the normalized text (any letter case) instead of the raw one
};

// The content of a tokenizer folder.
struct ClipTokenizerFiles {
  Vocabulary vocabulary;
  std::vector<Merge> merges;  // in order of rank
  std::vector<AddedToken> added_tokens;
  int64_t begin_id = 0;
  int64_t end_id = 0;
  int64_t unknown_id = 0;
  int64_t pad_id = 0;
  int max_length = 77;
};

// Reads tokenizer.json where there is one (the layout that transformers 5 writes), else vocab.json and
// merges.txt (the published layout), with tokenizer_config.json and special_tokens_map.json where present.
// Which file wins for which token follows transformers 5.23. NOT_FOUND for a missing file, INVALID_ARGUMENT
// for a malformed one, UNIMPLEMENTED for added tokens that strip white space; messages name the file.
absl::StatusOr<ClipTokenizerFiles> ReadClipTokenizerFiles(const std::string& folder);

}  // namespace kandinsky
