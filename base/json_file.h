#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kandinsky {

// What a JSON text may cost before it is refused.
struct JsonLimits {
  size_t max_bytes = 1u << 20;
  int max_depth = 32;  // nested objects and arrays, >= 1
  // Integers beyond 64 bits become floating point instead of errors; Python writes such into tokenizer files.
  bool allow_big_integers = false;
  // NaN, Infinity and -Infinity, which are no JSON, are read as null; Python writes such into configurations.
  bool non_finite_as_null = false;
};

// Parses JSON strictly: UTF-8 only, no comments, no key twice in an object, by default no integer beyond 64
// bits.
// INVALID_ARGUMENT that starts with `name` and says where or which key. Thread-safe.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, const std::string& name,
                                         const JsonLimits& limits = {});

// ParseJson of a file's content; `path` is the name in messages. Also the errors of ReadFile.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path, const JsonLimits& limits = {});

}  // namespace kandinsky
