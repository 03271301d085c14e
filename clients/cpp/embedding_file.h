#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "kandinsky/v1/image_generation.pb.h"

namespace kandinsky::client {

// Files with an embedding: a JSON object with the numbers as "image_embedding", "negative_image_embedding" or
// "text_embedding", and whatever else its writer wants to say.

// The numbers, each in as many digits as give the same float again.
nlohmann::ordered_json ToJson(const v1::Embedding& embedding);

// Which embedding of a file is wanted.
enum class EmbeddingRole {
  kImage,     // "image_embedding"
  kNegative,  // "negative_image_embedding"; in a file that has none, "image_embedding"
};

// The embedding in the content of a file, which may also be the array of numbers alone, a batch of one of
// them, the output of `embed --json` with one embedding, or a .npy file of [n] or [1, n]. INVALID_ARGUMENT
// when there is none or more than one, or a value is no finite float.
absl::StatusOr<v1::Embedding> ParseEmbedding(const std::string& content, EmbeddingRole role);

}  // namespace kandinsky::client
