#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline/tokenizers/clip_vocabulary.h"

namespace kandinsky {

// A temporary folder with tokenizer files; removed with the object.
class TokenizerFolder {
 public:
  TokenizerFolder();
  ~TokenizerFolder();
  TokenizerFolder(const TokenizerFolder&) = delete;
  TokenizerFolder& operator=(const TokenizerFolder&) = delete;

  const std::string& path() const { return path_; }
  void Write(const std::string& name, const std::string& content) const;
  // The published layout.
  void WriteVocabularyAndMerges(const std::vector<Merge>& merges) const;
  // The layout of transformers 5, without special tokens if `added_tokens` is null.
  void WriteTokenizerJson(const std::vector<Merge>& merges, const nlohmann::json& added_tokens) const;

 private:
  std::string path_;
};

// The merges of tools/tiny_tokenizer_merges.txt.
std::vector<Merge> TinyMerges();

// The merges of the published CLIP vocabulary.
std::vector<Merge> PublishedMerges();

nlohmann::json ReadGolden(const std::string& path);

}  // namespace kandinsky
