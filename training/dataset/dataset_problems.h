#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace kandinsky::training {

// What is wrong with a dataset. One look at it finds everything, but a wrong column is wrong in every line,
// so that only the first are kept in words. Not thread-safe.
class DatasetProblems {
 public:
  static constexpr size_t kMostListed = 20;

  // "place: rule".
  void Add(const std::string& place, const std::string& rule);
  // A message that names its place itself.
  void Add(std::string message);

  // OK without problems. Otherwise INVALID_ARGUMENT with a line for each of the first and one that counts the
  // rest.
  absl::Status ToStatus() const;

 private:
  std::vector<std::string> listed_;
  size_t count_ = 0;
};

}  // namespace kandinsky::training
