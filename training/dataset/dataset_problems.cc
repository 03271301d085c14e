#include "training/dataset/dataset_problems.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kandinsky::training {

void DatasetProblems::Add(const std::string& place, const std::string& rule) {
  Add(absl::StrCat(place, ": ", rule));
}

void DatasetProblems::Add(std::string message) {
  ++count_;
  if (listed_.size() < kMostListed) listed_.push_back(std::move(message));
}

absl::Status DatasetProblems::ToStatus() const {
  if (count_ == 0) return absl::OkStatus();
  std::string text = absl::StrJoin(listed_, "\n");
  if (count_ > listed_.size()) absl::StrAppend(&text, "\nand ", count_ - listed_.size(), " more");
  return absl::InvalidArgumentError(text);
}

}  // namespace kandinsky::training
