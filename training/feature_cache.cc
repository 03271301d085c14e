#include "training/feature_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

// The rows of a file that another run has written, or null.
std::shared_ptr<const Checkpoint> FindFile(const std::string& path, int64_t rows) {
  auto file = OpenCheckpoint(path);
  if (!file.ok()) return nullptr;
  for (const std::string& name : (*file)->names()) {
    const std::vector<int64_t>& shape = (*file)->Find(name)->shape;
    if (shape.empty() || shape[0] != rows) return nullptr;
  }
  return *std::move(file);
}

}  // namespace

absl::StatusOr<FeatureCache> FeatureCache::Open(const std::string& folder, const std::string& fingerprint,
                                                int64_t rows, const Compute& compute,
                                                const Progress& progress) {
  const fs::path files = fs::path(folder) / fingerprint;
  std::error_code error;
  fs::create_directories(files, error);
  if (error) return absl::UnavailableError(absl::StrCat(files.string(), ": ", error.message()));
  FeatureCache cache;
  for (int64_t begin = 0; begin < rows; begin += kRowsPerFile) {
    const int64_t end = std::min(begin + kRowsPerFile, rows);
    const std::string path = (files / absl::StrFormat("%08d.safetensors", begin)).string();
    std::shared_ptr<const Checkpoint> file = FindFile(path, end - begin);
    if (file == nullptr) {
      ASSIGN_OR_RETURN(const NamedTensors tensors, compute(begin, end));
      RETURN_IF_ERROR(WriteSafetensors(path, tensors));
      ASSIGN_OR_RETURN(file, OpenCheckpoint(path));
    }
    cache.files_.push_back(std::move(file));
    RETURN_IF_ERROR(progress(end, rows));
  }
  return cache;
}

torch::Tensor FeatureCache::Rows(const std::string& name, absl::Span<const int64_t> rows,
                                 int64_t length) const {
  std::vector<torch::Tensor> found;
  found.reserve(rows.size());
  for (const int64_t row : rows) {
    const torch::Tensor file = files_[static_cast<size_t>(row / kRowsPerFile)]->Get(name).value();
    torch::Tensor one = file[row % kRowsPerFile];
    if (length > 0) one = at::constant_pad_nd(one, {0, 0, 0, length - one.size(0)});
    found.push_back(std::move(one));
  }
  return at::stack(found);
}

}  // namespace kandinsky::training
