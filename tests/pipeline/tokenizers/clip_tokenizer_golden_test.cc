#include <gtest/gtest.h>

#include <cstdlib>

#include "pipeline/tokenizers/clip_tokenizer.h"
#include "tests/pipeline/tokenizers/tokenizer_folder.h"

namespace kandinsky {
namespace {

// Ids recorded from transformers' fast CLIPTokenizer.

std::vector<int64_t> WithoutPadding(const TextTokens& tokens) {
  return {tokens.ids.begin(), tokens.ids.begin() + tokens.kept};
}

void ExpectGoldenIds(const ClipTokenizer& tokenizer, const nlohmann::json& cases) {
  for (const nlohmann::json& golden : cases) {
    const TextTokens tokens = tokenizer.Encode(golden["text"].get<std::string>());
    EXPECT_EQ(WithoutPadding(tokens), golden["ids"].get<std::vector<int64_t>>()) << golden["text"];
    if (golden.contains("total")) {
      EXPECT_EQ(tokens.total_tokens, golden["total"].get<int>()) << golden["text"];
    }
  }
}

TEST(ClipTokenizerGoldenTest, EqualsTheReferenceWithThePublishedVocabulary) {
  const TokenizerFolder folder;
  folder.WriteVocabularyAndMerges(PublishedMerges());
  const auto tokenizer = ClipTokenizer::Load(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_size(), 49408);
  const nlohmann::json golden = ReadGolden(KANDINSKY_SOURCE_DIR "/tests/golden/tokenizers/clip_bpe.json");
  ASSERT_GE(golden["cases"].size(), 60u);
  ExpectGoldenIds(**tokenizer, golden["cases"]);
}

TEST(ClipTokenizerGoldenTest, EqualsTheReferenceInEveryLayoutOfTheSpecialTokens) {
  const nlohmann::json golden =
      ReadGolden(KANDINSKY_SOURCE_DIR "/tests/golden/tokenizers/clip_variants.json");
  ASSERT_GE(golden["variants"].size(), 10u);
  for (const nlohmann::json& variant : golden["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    const TokenizerFolder folder;
    if (variant.contains("added_tokens")) {
      folder.WriteTokenizerJson(TinyMerges(), variant["added_tokens"]);
    } else {
      folder.WriteVocabularyAndMerges(TinyMerges());
    }
    for (const auto& [name, content] : variant["files"].items()) folder.Write(name, content.dump());
    const auto tokenizer = ClipTokenizer::Load(folder.path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->pad_id(), variant["pad_id"].get<int64_t>());
    EXPECT_EQ((*tokenizer)->max_length(), variant["max_length"].get<int>());
    ExpectGoldenIds(**tokenizer, variant["cases"]);
  }
}

// Both layouts of the tokenizer folder; the recorded ids include the padding.
TEST(ClipTokenizerGoldenTest, EqualsTheReferenceWithTheTokenizersOfTheParityModels) {
  const char* given = std::getenv("KANDINSKY_GOLDEN_DIR");
  const std::string folder = given != nullptr ? given : KANDINSKY_SOURCE_DIR "/tests/golden/diffusers";
  const nlohmann::json golden = ReadGolden(folder + "/tokenizer.json");
  ASSERT_GE(golden["cases"].size(), 200u);
  for (const char* model : {"/models/prior/tokenizer", "/models/b/prior/tokenizer"}) {
    const auto tokenizer = ClipTokenizer::Load(folder + model);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    for (const nlohmann::json& recorded : golden["cases"]) {
      EXPECT_EQ((*tokenizer)->Encode(recorded["text"].get<std::string>()).ids,
                recorded["ids"].get<std::vector<int64_t>>())
          << model << ": " << recorded["text"];
    }
  }
}

}  // namespace
}  // namespace kandinsky
