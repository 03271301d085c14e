#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mapped_file.h"
#include "pipeline/weights/safetensors_header.h"

namespace kandinsky {

// Named, memory-mapped tensors of one safetensors file or of a sharded set. Immutable and thread-safe.
class Checkpoint {
 public:
  struct TensorInfo {
    torch::ScalarType dtype;
    std::vector<int64_t> shape;
  };

  // The file that was opened: a safetensors file or an index.
  const std::string& path() const { return path_; }
  // Sorted.
  std::vector<std::string> names() const;
  // Null when there is no such tensor. Valid as long as the checkpoint.
  const TensorInfo* Find(absl::string_view name) const;
  // The tensor on the CPU, without copying unless the file holds it unaligned. It keeps the mapping alive,
  // also after the checkpoint is gone. Its memory is read-only: writing to it is a segmentation fault.
  // NOT_FOUND, naming file and tensor, when there is no such tensor.
  absl::StatusOr<torch::Tensor> Get(absl::string_view name) const;
  // The header's metadata; of a sharded set none.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Takes what was read of the files out of resident memory (MappedFile::ReleasePages).
  void ReleasePages() const;
  // The same for one tensor, and a start on reading it from the disk (MappedFile::ReadAhead). Nothing for a
  // name that is not there.
  void ReleasePages(absl::string_view name) const;
  void ReadAhead(absl::string_view name) const;
  // Names in the order in which the files hold their tensors, file by file.
  std::vector<std::string> names_by_place() const;
  // Bytes of all tensors.
  int64_t total_bytes() const { return total_bytes_; }

 private:
  friend class CheckpointBuilder;
  struct Entry {
    TensorInfo info;
    std::shared_ptr<const MappedFile> file;
    size_t offset;  // in the file
    size_t bytes;
  };

  explicit Checkpoint(std::string path) : path_(std::move(path)) {}
  static torch::Tensor ToTensor(const Entry& entry);
  const Entry* FindEntry(absl::string_view name) const;

  const std::string path_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, std::string> metadata_;
  int64_t total_bytes_ = 0;
};

// Opens a safetensors file, or a set of shards by its index, a .json file. Checks every header, every shard
// name (plain relative paths inside the index's folder, also behind symbolic links; in a hub cache's
// REPOSITORY/snapshots/REVISION links may also lead to REPOSITORY/blobs) and that index and shards agree.
// NOT_FOUND for a missing file, INVALID_ARGUMENT otherwise; messages name file and tensor.
absl::StatusOr<std::shared_ptr<const Checkpoint>> OpenCheckpoint(const std::string& file_or_index);

// Writes tensors in the given order (converted to contiguous CPU tensors), replacing the file atomically; the
// same arguments give the same bytes. INVALID_ARGUMENT for a name twice or a dtype that the format lacks.
absl::Status WriteSafetensors(const std::string& path,
                              const std::vector<std::pair<std::string, torch::Tensor>>& tensors,
                              const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

}  // namespace kandinsky
