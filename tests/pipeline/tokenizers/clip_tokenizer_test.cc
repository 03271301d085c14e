#include "pipeline/tokenizers/clip_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "pipeline/tokenizers/clip_text.h"
#include "tests/pipeline/tokenizers/tokenizer_folder.h"

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Words(absl::string_view text) {
  std::vector<std::string> words;
  ForEachClipWord(text, [&words](absl::string_view word) { words.emplace_back(word); });
  return words;
}

TEST(NormalizeClipTextTest, ComposesAndLowersEachCharacter) {
  EXPECT_EQ(NormalizeClipText("Red CAT"), "red cat");
  EXPECT_EQ(NormalizeClipText("E\u0301"), "é");
  EXPECT_EQ(NormalizeClipText("КОТ ΣΑΣ"), "кот σασ");  // no final sigma
  EXPECT_EQ(NormalizeClipText("İ"), "i\u0307");
  EXPECT_EQ(NormalizeClipText("Ⅷ ﬁ"), "ⅷ ﬁ");  // no compatibility forms
}

TEST(NormalizeClipTextTest, ReplacesIllFormedUtf8) {
  EXPECT_EQ(NormalizeClipText("a\xff"), "a\ufffd");
  EXPECT_EQ(NormalizeClipText("\xc0\xaf"), "\ufffd\ufffd");
  EXPECT_EQ(NormalizeClipText("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");
}

TEST(ForEachClipWordTest, SplitsLettersSingleNumbersAndTheRest) {
  EXPECT_THAT(Words("a cat, 42 dogs!!"), ElementsAre("a", "cat", ",", "4", "2", "dogs", "!!"));
  EXPECT_THAT(Words("кот日本"), ElementsAre("кот日本"));
  EXPECT_THAT(Words("½²x"), ElementsAre("½", "²", "x"));
  EXPECT_THAT(Words(" \t\n\u3000\u00a0"), ElementsAre());
}

TEST(ForEachClipWordTest, SplitsContractionsAtTheStartOfAWordOnly) {
  EXPECT_THAT(Words("it's we're i'll"), ElementsAre("it", "'s", "we", "'re", "i", "'ll"));
  EXPECT_THAT(Words("''s"), ElementsAre("''", "s"));
  EXPECT_THAT(Words("'x"), ElementsAre("'", "x"));
}

TEST(ForEachClipWordTest, CutsNamesOfSpecialTokensOutOfTheirSurroundings) {
  EXPECT_THAT(Words("<|endoftext|>!!"), ElementsAre("<|", "endoftext", "|>", "!!"));
  EXPECT_THAT(Words("<|other|>!!"), ElementsAre("<|", "other", "|>!!"));
}

class ClipTokenizerTest : public ::testing::Test {
 protected:
  ClipTokenizerTest() { folder_.WriteVocabularyAndMerges(TinyMerges()); }

  std::shared_ptr<const ClipTokenizer> Load() {
    auto tokenizer = ClipTokenizer::Load(folder_.path());
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    return *tokenizer;
  }
  std::string LoadError() {
    const auto tokenizer = ClipTokenizer::Load(folder_.path());
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(tokenizer.status().message());
  }

  const TokenizerFolder folder_;
};

TEST_F(ClipTokenizerTest, PadsAndMasksUpToTheWindow) {
  const TextTokens tokens = Load()->Encode("a cat");
  ASSERT_EQ(tokens.ids.size(), 77u);
  ASSERT_EQ(tokens.mask.size(), 77u);
  EXPECT_EQ(tokens.total_tokens, tokens.kept);
  EXPECT_EQ(std::count(tokens.mask.begin(), tokens.mask.end(), 1), tokens.kept);
  EXPECT_TRUE(std::is_sorted(tokens.mask.rbegin(), tokens.mask.rend()));
  EXPECT_EQ(tokens.ids[0], 912);
  EXPECT_EQ(tokens.ids[static_cast<size_t>(tokens.kept) - 1], 913);
  for (size_t i = static_cast<size_t>(tokens.kept); i < 77; ++i) EXPECT_EQ(tokens.ids[i], 913);
}

TEST_F(ClipTokenizerTest, GivesBeginAndEndForAnEmptyText) {
  for (const char* text : {"", " ", " \n\t "}) {
    const TextTokens tokens = Load()->Encode(text);
    EXPECT_EQ(tokens.total_tokens, 2);
    EXPECT_EQ(tokens.kept, 2);
    EXPECT_EQ(tokens.ids[0], 912);
    EXPECT_EQ(tokens.ids[1], 913);
  }
}

TEST_F(ClipTokenizerTest, CutsLongTextsButKeepsTheEndToken) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "! a ";
  const TextTokens tokens = Load()->Encode(text);
  EXPECT_EQ(tokens.total_tokens, 202);
  EXPECT_EQ(tokens.kept, 77);
  EXPECT_EQ(tokens.ids.size(), 77u);
  EXPECT_EQ(tokens.ids[75], 256);  // the 75th token of the text
  EXPECT_EQ(tokens.ids[76], 913);
  EXPECT_EQ(std::count(tokens.mask.begin(), tokens.mask.end(), 1), 77);
}

TEST_F(ClipTokenizerTest, ExactlyFillsTheWindowWithoutCutting) {
  std::string text;
  for (int i = 0; i < 75; ++i) text += "! ";
  EXPECT_EQ(Load()->Encode(text).total_tokens, 77);
  EXPECT_EQ(Load()->Encode(text).ids[75], 256);
  EXPECT_EQ(Load()->Encode(text + "!!").total_tokens, 78);
}

TEST_F(ClipTokenizerTest, TakesAnyBytes) {
  const auto tokenizer = Load();
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes.push_back(static_cast<char>(i * 7919));
  EXPECT_EQ(tokenizer->Encode(bytes).kept, 77);
  EXPECT_EQ(tokenizer->Encode(std::string("a\0b", 3)).total_tokens, 5);
  std::string marks = "a";
  for (int i = 0; i < 2000; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0327";
  EXPECT_EQ(tokenizer->Encode(marks).kept, 77);
}

TEST_F(ClipTokenizerTest, MayBeUsedFromSeveralThreads) {
  const auto tokenizer = Load();
  const std::vector<int64_t> expected = tokenizer->Encode("Ein Café, 42 🐈").ids;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 200; ++j) EXPECT_EQ(tokenizer->Encode("Ein Café, 42 🐈").ids, expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ClipTokenizerTest, IgnoresALimitlessWindow) {
  folder_.Write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ(Load()->max_length(), 77);
}

TEST_F(ClipTokenizerTest, NamesAMissingFile) {
  std::filesystem::remove(folder_.path() + "/merges.txt");
  const auto tokenizer = ClipTokenizer::Load(folder_.path());
  EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(tokenizer.status().message()), HasSubstr("merges.txt"));
  EXPECT_EQ(ClipTokenizer::Load(folder_.path() + "/absent").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClipTokenizerTest, RefusesMalformedVocabularies) {
  folder_.Write("vocab.json", "[]");
  EXPECT_THAT(LoadError(), HasSubstr("vocab.json: the vocabulary is not an object"));
  folder_.Write("vocab.json", R"({"a": -1})");
  EXPECT_THAT(LoadError(), HasSubstr("token \"a\" has no valid id"));
  folder_.Write("vocab.json", R"({"a": 1.5})");
  EXPECT_THAT(LoadError(), HasSubstr("token \"a\" has no valid id"));
  folder_.Write("vocab.json", R"({"a": 1, "a": 2})");
  EXPECT_THAT(LoadError(), HasSubstr("key \"a\" appears twice"));
  folder_.Write("vocab.json", R"({"a": 1)");
  EXPECT_THAT(LoadError(), HasSubstr("not valid JSON"));
  folder_.Write("vocab.json", R"({"a": 1})");
  EXPECT_THAT(LoadError(), HasSubstr("<|startoftext|>"));
}

TEST_F(ClipTokenizerTest, RefusesMalformedMerges) {
  folder_.Write("merges.txt", "#version: 0.2\na b c\n");
  EXPECT_THAT(LoadError(), HasSubstr("merge \"a b c\" is not two tokens"));
  folder_.Write("merges.txt", "#version: 0.2\nabc\n");
  EXPECT_THAT(LoadError(), HasSubstr("is not two tokens"));
  folder_.Write("merges.txt", "#version: 0.2\nq zzz\n");
  EXPECT_THAT(LoadError(), HasSubstr("not in the vocabulary"));
}

TEST_F(ClipTokenizerTest, ReadsMergesThatBeginWithANumberSign) {
  folder_.WriteVocabularyAndMerges({{"#", "#</w>"}});
  EXPECT_EQ(Load()->Encode("##").ids[1], 512);
}

TEST_F(ClipTokenizerTest, RefusesMalformedSpecialTokens) {
  folder_.Write("tokenizer_config.json", R"({"eos_token": "<absent>"})");
  EXPECT_THAT(LoadError(), HasSubstr("special token \"<absent>\" has no id"));
  folder_.Write("tokenizer_config.json", R"({"eos_token": 7})");
  EXPECT_THAT(LoadError(), HasSubstr("a special token has no name"));
  folder_.Write("tokenizer_config.json", R"({"eos_token": {"content": ""}})");
  EXPECT_THAT(LoadError(), HasSubstr("a special token has no name"));
  folder_.Write("tokenizer_config.json", R"({"model_max_length": 2})");
  EXPECT_THAT(LoadError(), HasSubstr("model_max_length is below 3"));
  folder_.Write("tokenizer_config.json", R"({"pad_token": {"content": "!", "lstrip": true}})");
  EXPECT_EQ(ClipTokenizer::Load(folder_.path()).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(ClipTokenizerTest, RefusesAMalformedTokenizerJson) {
  for (const char* content :
       {"{}", R"({"model": 1})", R"({"model": {"vocab": {}}})",
        R"({"model": {"vocab": {}, "merges": [["a"]]}})", R"({"model": {"vocab": {}, "merges": ["a"]}})"}) {
    folder_.Write("tokenizer.json", content);
    EXPECT_THAT(LoadError(), HasSubstr("tokenizer.json: ")) << content;
  }
}

}  // namespace
}  // namespace kandinsky
