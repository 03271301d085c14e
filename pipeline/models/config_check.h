#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kandinsky {

// Collects the first complaint about a model configuration; each one names the model, the key and the value.
// Configurations come from checkpoints, so every number that becomes a size is bounded here.
class ConfigCheck {
 public:
  // `model` is the published class name, e.g. "UNet2DConditionModel".
  explicit ConfigCheck(absl::string_view model) : model_(model) {}

  // `value` must be one of `supported`.
  ConfigCheck& OneOf(absl::string_view key, absl::string_view value,
                     const std::vector<std::string>& supported);
  // Only `supported` is implemented.
  ConfigCheck& Equals(absl::string_view key, bool value, bool supported);
  ConfigCheck& Equals(absl::string_view key, double value, double supported);
  // `low` <= value <= `high`.
  ConfigCheck& InRange(absl::string_view key, int64_t value, int64_t low, int64_t high);
  // A size: 1 .. 2^20.
  ConfigCheck& Size(absl::string_view key, int64_t value) { return InRange(key, value, 1, int64_t{1} << 20); }
  // A normalization epsilon: above 0, at most 1.
  ConfigCheck& Epsilon(absl::string_view key, double value);
  // `value` must be a multiple of `divisor`, which `divisor_key` sets.
  ConfigCheck& MultipleOf(absl::string_view key, int64_t value, absl::string_view divisor_key,
                          int64_t divisor);
  // A list must have `expected` elements.
  ConfigCheck& Length(absl::string_view key, size_t length, size_t expected);

  // OK, or INVALID_ARGUMENT with the first complaint.
  const absl::Status& status() const { return status_; }

 private:
  ConfigCheck& Refuse(absl::string_view key, absl::string_view value, absl::string_view rule);

  const std::string model_;
  absl::Status status_;
};

}  // namespace kandinsky
