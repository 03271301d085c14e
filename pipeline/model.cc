#include "pipeline/model.h"

#include "absl/strings/str_cat.h"

namespace kandinsky {

absl::Status ToStatus(const std::vector<Violation>& violations) {
  if (violations.empty()) return absl::OkStatus();
  const auto& [field, rule, lack] = violations.front();
  return absl::InvalidArgumentError(absl::StrCat(field, lack == Lack::kNone ? " " : ": ", rule));
}

}  // namespace kandinsky
