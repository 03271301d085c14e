#include "training/embedding_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace kandinsky::training {
namespace {

using ::testing::ElementsAre;

std::set<int64_t> AllDraws(const EmbeddingExchange& exchange, int64_t sample) {
  std::set<int64_t> drawn;
  for (float first = 0; first < 1; first += 0.125f) {
    for (float second = 0; second < 1; second += 0.125f) drawn.insert(exchange.Draw(sample, first, second));
  }
  return drawn;
}

std::vector<TrainingSample> SamplesWith(const std::vector<std::vector<std::string>>& captions) {
  std::vector<TrainingSample> samples;
  samples.reserve(captions.size());
  for (const auto& texts : captions) samples.emplace_back().captions = texts;
  return samples;
}

TEST(EmbeddingExchangeTest, GivesAnyOfTheSamplesThatShareACaption) {
  const EmbeddingExchange exchange(SamplesWith({{"cat"}, {"dog"}, {"cat", "Katze"}, {"cat"}, {"Katze"}}));
  EXPECT_THAT(AllDraws(exchange, 0), ElementsAre(0, 2, 3));
  EXPECT_THAT(AllDraws(exchange, 1), ElementsAre(1));
  EXPECT_THAT(AllDraws(exchange, 2), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(AllDraws(exchange, 4), ElementsAre(2, 4));
}

TEST(EmbeddingExchangeTest, ASampleWithoutACaptionKeepsItsOwn) {
  const EmbeddingExchange exchange(SamplesWith({{"cat"}, {}, {"cat"}}));
  EXPECT_THAT(AllDraws(exchange, 1), ElementsAre(1));
}

TEST(EmbeddingExchangeTest, DrawsCloseToOneStayWithinTheChoices) {
  const EmbeddingExchange exchange(SamplesWith({{"cat"}, {"cat"}, {"cat"}}));
  EXPECT_EQ(exchange.Draw(0, 1.0f, 1.0f), 2);
}

}  // namespace
}  // namespace kandinsky::training
