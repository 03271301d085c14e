#include "pipeline/tokenizers/byte_pair_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The CLIP vocabulary that consists of bytes and `merges`; merge i has the id 512 + i.
Vocabulary VocabularyOf(const std::vector<Merge>& merges) {
  Vocabulary vocabulary;
  for (const std::string& token : MakeClipVocabulary(merges)) {
    vocabulary.emplace(token, static_cast<int64_t>(vocabulary.size()));
  }
  return vocabulary;
}

std::vector<int64_t> Encode(const std::vector<Merge>& merges, const std::string& word) {
  std::vector<int64_t> ids;
  BytePairEncoder::Create(VocabularyOf(merges), merges, 0)->EncodeWord(word, ids);
  return ids;
}

int64_t Byte(char c) { return VocabularyOf({}).at(ByteSymbols()[static_cast<uint8_t>(c)]); }
int64_t LastByte(char c) { return 256 + Byte(c); }

TEST(ByteSymbolsTest, AreAllDifferentAndNeverBlank) {
  const std::set<std::string> symbols(ByteSymbols().begin(), ByteSymbols().end());
  EXPECT_EQ(symbols.size(), 256u);
  EXPECT_EQ(ByteSymbols()['a'], "a");
  EXPECT_EQ(ByteSymbols()[' '], "\u0120");
  EXPECT_EQ(ByteSymbols()[0], "\u0100");
  EXPECT_EQ(ByteSymbols()[0xAD], "\u0143");
  EXPECT_EQ(ByteSymbols()[0xFF], "\u00FF");
}

TEST(MakeClipVocabularyTest, NumbersBytesMergesAndSpecialTokensAsPublished) {
  const std::vector<std::string> tokens = MakeClipVocabulary({{"a", "b</w>"}});
  ASSERT_EQ(tokens.size(), 515u);
  EXPECT_EQ(tokens[0], "!");
  EXPECT_EQ(tokens[256], "!</w>");
  EXPECT_EQ(tokens[512], "ab</w>");
  EXPECT_EQ(tokens[513], "<|startoftext|>");
  EXPECT_EQ(tokens[514], "<|endoftext|>");
}

TEST(BytePairEncoderTest, MarksTheLastByteOfAWord) {
  EXPECT_THAT(Encode({}, "ab"), ElementsAre(Byte('a'), LastByte('b')));
  EXPECT_THAT(Encode({}, "\xff"), ElementsAre(LastByte('\xff')));
}

TEST(BytePairEncoderTest, AppliesTheLowestRankFirst) {
  // "bc" ranks before "ab", so that "abc" is a|bc, though ab comes first in the word.
  EXPECT_THAT(Encode({{"b", "c</w>"}, {"a", "b"}}, "abc"), ElementsAre(Byte('a'), 512));
  EXPECT_THAT(Encode({{"a", "b"}, {"b", "c</w>"}}, "abc"), ElementsAre(512, LastByte('c')));
}

TEST(BytePairEncoderTest, MergesEqualPairsFromTheLeft) {
  EXPECT_THAT(Encode({{"a", "a"}}, "aaax"), ElementsAre(512, Byte('a'), LastByte('x')));
}

TEST(BytePairEncoderTest, MergesWhatEarlierMergesMade) {
  const std::vector<Merge> merges = {{"a", "b"}, {"ab", "ab"}, {"abab", "c</w>"}};
  EXPECT_THAT(Encode(merges, "ababc"), ElementsAre(514));
}

TEST(BytePairEncoderTest, GivesTheUnknownIdToBytesOutsideTheVocabulary) {
  const Vocabulary vocabulary = {{"a", 5}, {"b</w>", 6}};
  std::vector<int64_t> ids;
  BytePairEncoder::Create(vocabulary, {}, 99)->EncodeWord("azb", ids);
  EXPECT_THAT(ids, ElementsAre(5, 99, 6));
}

TEST(BytePairEncoderTest, LooksAtNoMoreThanThreeCandidatesPerByte) {
  std::vector<Merge> merges;
  for (std::string symbol = "a"; symbol.size() < 5000; symbol += symbol) merges.emplace_back(symbol, symbol);
  const BytePairEncoder encoder = *BytePairEncoder::Create(VocabularyOf(merges), merges, 0);
  for (const size_t size : {4096u, 100'000u}) {
    std::vector<int64_t> ids;
    EXPECT_LE(encoder.EncodeWord(std::string(size, 'a'), ids), 3 * size);
    EXPECT_LT(ids.size(), size / 10);
  }
}

TEST(BytePairEncoderTest, RefusesMergesOutsideTheVocabulary) {
  const Vocabulary vocabulary = {{"a", 0}, {"b", 1}, {"ab", 2}};
  EXPECT_TRUE(BytePairEncoder::Create(vocabulary, {{"a", "b"}}, 0).ok());
  for (const Merge& merge : {Merge("b", "a"), Merge("a", "c"), Merge("c", "a")}) {
    const auto encoder = BytePairEncoder::Create(vocabulary, {{"a", "b"}, merge}, 0);
    EXPECT_EQ(encoder.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(encoder.status().message()), HasSubstr("merge 1"));
  }
}

}  // namespace
}  // namespace kandinsky
