#include "clients/cpp/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace kandinsky {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& content) {
  const absl::StatusOr<v1::Embedding> embedding = ParseEmbedding(content, EmbeddingRole::kImage);
  EXPECT_TRUE(absl::IsInvalidArgument(embedding.status())) << content;
  return std::string(embedding.status().message());
}

TEST(EmbeddingFileTest, EveryFloatIsReadBackAsItWas) {
  v1::Embedding embedding;
  float value = 0.1f;
  for (int i = 0; i < 1280; ++i) {
    embedding.add_values(value);
    value = -value * 1.0371f;
  }
  for (const float extreme :
       {std::numeric_limits<float>::max(), std::numeric_limits<float>::denorm_min(), -0.f}) {
    embedding.add_values(extreme);
  }
  const nlohmann::ordered_json file = {{"image_embedding", ToJson(embedding)}};
  const absl::StatusOr<v1::Embedding> read = ParseEmbedding(file.dump(), EmbeddingRole::kImage);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->SerializeAsString(), embedding.SerializeAsString());
}

TEST(EmbeddingFileTest, TheNegativeHalfIsTakenWhereThereIsOne) {
  const std::string both = R"({"image_embedding": [1], "negative_image_embedding": [2], "more": {}})";
  EXPECT_THAT(ParseEmbedding(both, EmbeddingRole::kImage)->values(), ElementsAre(1));
  EXPECT_THAT(ParseEmbedding(both, EmbeddingRole::kNegative)->values(), ElementsAre(2));
  EXPECT_THAT(ParseEmbedding(R"({"image_embedding": [1]})", EmbeddingRole::kNegative)->values(),
              ElementsAre(1));
}

TEST(EmbeddingFileTest, MayBeTheNumbersAlone) {
  EXPECT_THAT(ParseEmbedding("[1, -2.5e0]\n", EmbeddingRole::kImage)->values(), ElementsAre(1, -2.5));
}

TEST(EmbeddingFileTest, WhatIsNoEmbeddingIsRefusedWithItsReason) {
  EXPECT_THAT(ErrorOf("\x89PNG"), HasSubstr("no JSON object"));
  EXPECT_THAT(ErrorOf("7"), HasSubstr("no JSON object"));
  EXPECT_THAT(ErrorOf("{"), HasSubstr("no JSON object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("no \"image_embedding\""));
  EXPECT_THAT(ErrorOf(R"({"text_embedding": [1]})"), HasSubstr("kandinsky embed prompt"));
  EXPECT_THAT(ErrorOf(R"({"image_embedding": []})"), HasSubstr("no list of numbers"));
  EXPECT_THAT(ErrorOf(R"({"image_embedding": "1"})"), HasSubstr("no list of numbers"));
  EXPECT_THAT(ErrorOf(R"({"image_embedding": [1, null]})"), HasSubstr("value 1 "));
  EXPECT_THAT(ErrorOf(R"({"image_embedding": [1e39]})"), HasSubstr("value 0 "));
  EXPECT_THAT(ErrorOf(R"([1, "2"])"), HasSubstr("value 1 "));
}

}  // namespace
}  // namespace kandinsky
