#include "clients/cpp/embedding_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "clients/cpp/npy.h"

namespace kandinsky::client {
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

TEST(EmbeddingFileTest, MayBeABatchOfOneInEveryForm) {
  const auto values = [](const std::string& content) {
    const absl::StatusOr<v1::Embedding> embedding = ParseEmbedding(content, EmbeddingRole::kImage);
    EXPECT_TRUE(embedding.ok()) << embedding.status();
    return std::vector<float>(embedding->values().begin(), embedding->values().end());
  };
  const std::vector<float> expected = {1, -2.5f};
  EXPECT_EQ(values("[[1, -2.5]]"), expected);
  EXPECT_EQ(values(R"({"image_embedding": [[[1, -2.5]]]})"), expected);
  EXPECT_EQ(values(R"({"embeddings": [{"seed": "7", "image_embedding": [1, -2.5]}]})"), expected);
  v1::FloatTensor tensor;
  for (const int size : {1, 2}) tensor.add_shape(size);
  tensor.set_data(std::string(reinterpret_cast<const char*>(expected.data()), 8));
  EXPECT_EQ(values(*ToNpy(tensor)), expected);
  tensor.mutable_shape()->erase(tensor.mutable_shape()->begin());
  EXPECT_EQ(values(*ToNpy(tensor)), expected);
}

TEST(EmbeddingFileTest, MoreThanOneIsRefusedWithTheirNumber) {
  EXPECT_EQ(ErrorOf("[[1, 2], [3, 4]]"), "it holds a list of 2 embeddings, expected one: a list of numbers");
  EXPECT_THAT(ErrorOf(R"({"image_embedding": [[[1], [2], [3]]]})"), HasSubstr("a list of 3 embeddings"));
  EXPECT_EQ(ErrorOf(R"({"embeddings": [{}, {}]})"), "it holds 2 embeddings, expected one");
  EXPECT_EQ(ErrorOf("{\"image_embedding\": [1]}\n{\"image_embedding\": [2]}\n"),
            "it holds several lines of JSON, expected one embedding");
  v1::FloatTensor tensor;
  for (const int size : {2, 1}) tensor.add_shape(size);
  tensor.set_data(std::string(8, '\0'));
  EXPECT_EQ(ErrorOf(*ToNpy(tensor)), "its shape is [2, 1], expected one embedding: [n] or [1, n]");
}

TEST(EmbeddingFileTest, NestingWithoutAnEndIsRefused) {
  const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_THAT(ErrorOf(deep), HasSubstr("no list of numbers"));
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
  EXPECT_EQ(ErrorOf(R"([1, "2"])"), "value 1 of the embedding is \"2\", must be a finite float");
}

// As Python's json.dumps and print write numbers that JSON does not have.
TEST(EmbeddingFileTest, NumbersThatAreNotFiniteAreNamedWithTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"[0.5, NaN, 1.0]", "value 1 of the embedding is NaN"},
      {"[Infinity]", "value 0 of the embedding is Infinity"},
      {"[0.5, 1.0, -Infinity]", "value 2 of the embedding is -Infinity"},
      {"[0.5, nan]", "value 1 of the embedding is nan"},
      {"[0.5, -inf]", "value 1 of the embedding is -inf"},
      {"[0.5, 1e999]", "value 1 of the embedding is 1e999"},
      {"[0.5, 1e39]", "value 1 of the embedding is 1e+39"},
      {"[[0.5, NaN]]", "value 1 of the embedding is NaN"},
      {"[[[0.5, 2, NaN, Infinity]]]", "value 2 of the embedding is NaN"},
      {R"({"a \"NaN\"": "NaN", "image_embedding": [0.5, NaN]})", "value 1 of the embedding is NaN"},
      {R"({"seed": NaN, "image_embedding": [[0.5, -1e999]]})", "value 1 of the embedding is -1e999"},
      {R"({"embeddings": [{"image_embedding": [0.5,NaN]}]})", "value 1 of the embedding is NaN"}};
  for (const auto& [content, error] : wrong) {
    EXPECT_EQ(ErrorOf(content), error + ", must be a finite float");
  }
  EXPECT_EQ(ErrorOf("[NaN]\n[0.5]\n"), "it holds several lines of JSON, expected one embedding");
  v1::FloatTensor tensor;
  tensor.add_shape(2);
  const float values[] = {1, std::numeric_limits<float>::quiet_NaN()};
  tensor.set_data(std::string(reinterpret_cast<const char*>(values), sizeof(values)));
  EXPECT_EQ(ErrorOf(*ToNpy(tensor)), "value 1 of the embedding is nan, must be a finite float");
  EXPECT_EQ(ErrorOf("[0.5, NaN"), "it is no JSON object");
  EXPECT_EQ(ErrorOf("[0.5, NaNs]"), "it is no JSON object");
  EXPECT_EQ(ErrorOf("\"NaN"), "it is no JSON object");
}

}  // namespace
}  // namespace kandinsky::client
