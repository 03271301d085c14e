#include "clients/cpp/embedding_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/cpp/npy.h"

namespace kandinsky::client {
namespace {

constexpr char kImage[] = "image_embedding";
constexpr char kNegative[] = "negative_image_embedding";
constexpr char kText[] = "text_embedding";
constexpr char kList[] = "embeddings";  // of --json
constexpr size_t kMostShownBytes = 20;

// Whether `word` stands for a number that JSON does not have: Python's json.dumps writes NaN, Infinity and
// -Infinity, printed lists have nan and inf, and 1e999 is no double.
bool IsBeyondJson(const std::string& word) {
  double value = 0;
  return absl::SimpleAtod(word, &value) && !std::isfinite(value);
}

// `json` with such words in quotes, so that it can be read and they be named where they stand.
std::string QuoteBeyondJson(const std::string& json) {
  constexpr char kOfWords[] = "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string quoted;
  for (size_t at = 0; at < json.size();) {
    size_t end = at + 1;
    if (json[at] == '"') {
      while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      ++end;
    } else if (std::strchr(kOfWords, json[at]) != nullptr && json[at] != '\0') {
      end = std::min(json.find_first_not_of(kOfWords, at), json.size());
    }
    const std::string part = json.substr(at, end - at);
    absl::StrAppend(&quoted, part[0] != '"' && IsBeyondJson(part) ? absl::StrCat("\"", part, "\"") : part);
    at = end;
  }
  return quoted;
}

// A value as it stands in the file, cut when it is long.
std::string Shown(const nlohmann::json& json) {
  if (json.is_number_float() && !std::isfinite(json.get<double>())) return absl::StrCat(json.get<double>());
  if (json.is_string() && IsBeyondJson(json.get<std::string>())) return json.get<std::string>();
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, kMostShownBytes);
}

// `json`, or what is in it when it is a list of one list, as tolist() of a batch of one gives.
const nlohmann::json& Unbatched(const nlohmann::json& json) {
  const nlohmann::json* inner = &json;
  while (inner->is_array() && inner->size() == 1 && inner->front().is_array()) inner = &inner->front();
  return *inner;
}

absl::StatusOr<v1::Embedding> FromArray(const nlohmann::json& json) {
  const nlohmann::json& array = Unbatched(json);
  if (!array.is_array() || array.empty())
    return absl::InvalidArgumentError("the embedding is no list of numbers");
  if (array.front().is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat("it holds a list of ", array.size(), " embeddings, expected one: a list of numbers"));
  }
  v1::Embedding embedding;
  embedding.mutable_values()->Reserve(static_cast<int>(array.size()));
  for (const nlohmann::json& element : array) {
    const double value = element.is_number() ? element.get<double>() : std::nan("");
    if (!std::isfinite(static_cast<float>(value))) {
      return absl::InvalidArgumentError(absl::StrCat("value ", embedding.values_size(),
                                                     " of the embedding is ", Shown(element),
                                                     ", must be a finite float"));
    }
    embedding.add_values(static_cast<float>(value));
  }
  return embedding;
}

absl::StatusOr<v1::Embedding> FromTensor(const std::string& content) {
  const absl::StatusOr<v1::FloatTensor> tensor = ParseNpy(content);
  if (!tensor.ok()) return tensor.status();
  const auto& shape = tensor->shape();
  if (shape.empty() || std::count(shape.begin(), shape.end() - 1, 1) != shape.size() - 1) {
    return absl::InvalidArgumentError(absl::StrCat("its shape is [", absl::StrJoin(shape, ", "),
                                                   "], expected one embedding: [n] or [1, n]"));
  }
  nlohmann::json values = nlohmann::json::array();
  for (size_t i = 0; i + sizeof(float) <= tensor->data().size(); i += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, tensor->data().data() + i, sizeof(value));
    values.push_back(value);
  }
  return FromArray(values);
}

absl::StatusOr<v1::Embedding> FromJson(const nlohmann::json& file, EmbeddingRole role) {
  if (file.is_array()) return FromArray(file);
  const bool is_list = file.is_object() && file.contains(kList) && file[kList].is_array();
  if (is_list && file[kList].size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("it holds ", file[kList].size(), " embeddings, expected one"));
  }
  const nlohmann::json& json = is_list ? file[kList][0] : file;
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

}  // namespace

nlohmann::ordered_json ToJson(const v1::Embedding& embedding) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const float value : embedding.values()) array.push_back(value);
  return array;
}

absl::StatusOr<v1::Embedding> ParseEmbedding(const std::string& content, EmbeddingRole role) {
  if (IsNpy(content)) return FromTensor(content);
  nlohmann::json json = nlohmann::json::parse(content, nullptr, false);
  if (json.is_discarded()) {
    const std::string quoted = QuoteBeyondJson(content);
    json = nlohmann::json::parse(quoted, nullptr, false);
    const bool lines = json.is_discarded() && nlohmann::json::accept(quoted.substr(0, quoted.find('\n')));
    if (lines) return absl::InvalidArgumentError("it holds several lines of JSON, expected one embedding");
  }
  return FromJson(json, role);
}

}  // namespace kandinsky::client
