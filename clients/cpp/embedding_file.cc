#include "clients/cpp/embedding_file.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

constexpr char kImage[] = "image_embedding";
constexpr char kNegative[] = "negative_image_embedding";
constexpr char kText[] = "text_embedding";

absl::StatusOr<v1::Embedding> FromArray(const nlohmann::json& array) {
  if (!array.is_array() || array.empty())
    return absl::InvalidArgumentError("the embedding is no list of numbers");
  v1::Embedding embedding;
  embedding.mutable_values()->Reserve(static_cast<int>(array.size()));
  for (const nlohmann::json& element : array) {
    const double value = element.is_number() ? element.get<double>() : std::nan("");
    if (!std::isfinite(static_cast<float>(value))) {
      return absl::InvalidArgumentError(
          absl::StrCat("value ", embedding.values_size(), " of the embedding is no finite float"));
    }
    embedding.add_values(static_cast<float>(value));
  }
  return embedding;
}

}  // namespace

nlohmann::ordered_json ToJson(const v1::Embedding& embedding) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const float value : embedding.values()) array.push_back(value);
  return array;
}

absl::StatusOr<v1::Embedding> ParseEmbedding(const std::string& content, EmbeddingRole role) {
  const nlohmann::json json = nlohmann::json::parse(content, nullptr, false);
  if (json.is_array()) return FromArray(json);
  if (!json.is_object()) return absl::InvalidArgumentError("it is no JSON object");
  if (role == EmbeddingRole::kNegative && json.contains(kNegative)) return FromArray(json[kNegative]);
  if (json.contains(kImage)) return FromArray(json[kImage]);
  if (json.contains(kText)) {
    return absl::InvalidArgumentError(
        "it has the embedding of a text, which is no image embedding: make one with `kandinsky embed "
        "prompt`");
  }
  return absl::InvalidArgumentError(absl::StrCat("it has no \"", kImage, "\""));
}

}  // namespace kandinsky
