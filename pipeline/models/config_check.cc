#include "pipeline/models/config_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kandinsky {
namespace {

absl::string_view BoolName(bool value) { return value ? "true" : "false"; }

}  // namespace

ConfigCheck& ConfigCheck::OneOf(absl::string_view key, absl::string_view value,
                                const std::vector<std::string>& supported) {
  const bool known = std::any_of(supported.begin(), supported.end(),
                                 [&](const std::string& candidate) { return value == candidate; });
  if (known) return *this;
  return Refuse(key, absl::StrCat("\"", value, "\""),
                absl::StrCat("supported: ", absl::StrJoin(supported, ", ")));
}

ConfigCheck& ConfigCheck::Equals(absl::string_view key, bool value, bool supported) {
  if (value == supported) return *this;
  return Refuse(key, BoolName(value), absl::StrCat("supported: ", BoolName(supported)));
}

ConfigCheck& ConfigCheck::Equals(absl::string_view key, double value, double supported) {
  if (value == supported) return *this;
  return Refuse(key, absl::StrCat(value), absl::StrCat("supported: ", supported));
}

ConfigCheck& ConfigCheck::InRange(absl::string_view key, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return *this;
  return Refuse(key, absl::StrCat(value), absl::StrCat("must be from ", low, " to ", high));
}

ConfigCheck& ConfigCheck::Epsilon(absl::string_view key, double value) {
  if (value > 0 && value <= 1) return *this;
  return Refuse(key, absl::StrCat(value), "must be above 0 and at most 1");
}

ConfigCheck& ConfigCheck::MultipleOf(absl::string_view key, int64_t value, absl::string_view divisor_key,
                                     int64_t divisor) {
  if (divisor > 0 && value % divisor == 0) return *this;
  return Refuse(key, absl::StrCat(value), absl::StrCat("must be a multiple of ", divisor_key, " ", divisor));
}

ConfigCheck& ConfigCheck::Length(absl::string_view key, size_t length, size_t expected) {
  if (length == expected) return *this;
  return Refuse(key, absl::StrCat("of ", length, " elements"), absl::StrCat("must have ", expected));
}

ConfigCheck& ConfigCheck::Refuse(absl::string_view key, absl::string_view value, absl::string_view rule) {
  if (status_.ok()) {
    status_ = absl::InvalidArgumentError(absl::StrCat(model_, " config: ", key, " ", value, " (", rule, ")"));
  }
  return *this;
}

}  // namespace kandinsky
