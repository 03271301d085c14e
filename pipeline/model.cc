#include "pipeline/model.h"

#include "absl/strings/str_cat.h"

namespace kandinsky {

absl::Status ToStatus(const std::vector<Violation>& violations) {
  if (violations.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(violations.front().field, " ", violations.front().rule));
}

}  // namespace kandinsky
