#include "tests/pipeline/tokenizers/tokenizer_folder.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace kandinsky {
namespace {

std::vector<Merge> ParseMerges(std::istream& lines, size_t limit) {
  std::vector<Merge> merges;
  std::string line;
  std::getline(lines, line);  // version
  while (merges.size() < limit && std::getline(lines, line)) {
    const size_t space = line.find(' ');
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

nlohmann::json VocabularyJson(const std::vector<Merge>& merges) {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (const std::string& token : MakeClipVocabulary(merges)) vocabulary[token] = vocabulary.size();
  return vocabulary;
}

}  // namespace

TokenizerFolder::TokenizerFolder() : path_(std::filesystem::temp_directory_path() / "tokenizer_XXXXXX") {
  EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

TokenizerFolder::~TokenizerFolder() { std::filesystem::remove_all(path_); }

void TokenizerFolder::Write(const std::string& name, const std::string& content) const {
  std::ofstream(path_ + "/" + name, std::ios::binary) << content;
}

void TokenizerFolder::WriteVocabularyAndMerges(const std::vector<Merge>& merges) const {
  Write("vocab.json", VocabularyJson(merges).dump());
  std::string text = "#version: 0.2\n";
  for (const Merge& merge : merges) text += merge.first + " " + merge.second + "\n";
  Write("merges.txt", text);
}

void TokenizerFolder::WriteTokenizerJson(const std::vector<Merge>& merges,
                                         const nlohmann::json& added_tokens) const {
  nlohmann::json list = nlohmann::json::array();
  for (const Merge& merge : merges) list.push_back({merge.first, merge.second});
  Write("tokenizer.json", nlohmann::json{{"added_tokens", added_tokens},
                                         {"model", {{"vocab", VocabularyJson(merges)}, {"merges", list}}}}
                              .dump());
}

std::vector<Merge> TinyMerges() {
  std::ifstream file(KANDINSKY_SOURCE_DIR "/tools/tiny_tokenizer_merges.txt");
  EXPECT_TRUE(file.good());
  return ParseMerges(file, 1 << 20);
}

std::vector<Merge> PublishedMerges() {
  const gzFile file =
      gzopen(KANDINSKY_SOURCE_DIR "/tests/golden/tokenizers/bpe_simple_vocab_16e6.txt.gz", "rb");
  EXPECT_NE(file, nullptr);
  std::string text;
  char buffer[1 << 16];
  for (int count; (count = gzread(file, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  gzclose(file);
  std::istringstream lines(text);
  return ParseMerges(lines, 49152 - 256 - 2);
}

nlohmann::json ReadGolden(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return nlohmann::json::parse(file);
}

}  // namespace kandinsky
