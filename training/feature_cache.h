#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "pipeline/weights/safetensors.h"
#include "training/named_tensors.h"

namespace kandinsky::training {

// What the frozen networks make of a dataset, computed once and kept on disk: rows in files of
// kRowsPerFile, each written atomically, so that an interrupted run goes on where it stopped. Rows are read
// through memory maps. Immutable once made, thread-safe.
class FeatureCache {
 public:
  static constexpr int64_t kRowsPerFile = 256;

  // Rows begin .. end - 1 as tensors whose first dimension counts them.
  using Compute = std::function<absl::StatusOr<NamedTensors>(int64_t begin, int64_t end)>;
  // Told after each file: rows that are there, rows in all. An error ends the work; what is there stays.
  using Progress = std::function<absl::Status(int64_t done, int64_t total)>;

  // Opens the features of `rows` rows in `folder`/`fingerprint`, computing what is missing or unreadable. The
  // fingerprint names everything that they depend on.
  static absl::StatusOr<FeatureCache> Open(const std::string& folder, const std::string& fingerprint,
                                           int64_t rows, const Compute& compute, const Progress& progress);

  // The given rows of one tensor, stacked: [rows, ...]. Rows of different lengths (second dimension) are
  // filled up with zeros to `length`; 0: all have one length.
  torch::Tensor Rows(const std::string& name, absl::Span<const int64_t> rows, int64_t length = 0) const;

 private:
  std::vector<std::shared_ptr<const Checkpoint>> files_;
};

}  // namespace kandinsky::training
