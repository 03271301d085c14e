#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace kandinsky {

// A whole file mapped read-only into memory. Immutable and thread-safe; the mapping lives as long as the
// object. A file that is replaced by rename keeps its old content here; one that is truncated in place does
// not (touching the lost pages raises SIGBUS), so weights belong on volumes that only change by rename.
class MappedFile {
 public:
  // NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is not a regular file, INTERNAL when
  // mapping fails. The path is part of every message.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::Span<const std::byte> bytes() const { return {data_, size_}; }
  // Takes the bytes that were read out of the process's resident memory; the next access maps them again,
  // from the page cache or the file. For content that was copied and is rarely needed from here.
  void ReleasePages() const;
  // The same for the whole pages of a part of the file, and a start on reading a part from the disk, which
  // may wait for the disk's queue but not for the bytes. The part must lie inside the file.
  void ReleasePages(size_t offset, size_t size) const;
  void ReadAhead(size_t offset, size_t size) const;
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size);

  const std::string path_;
  const std::byte* const data_;
  const size_t size_;
};

// Reads a file of at most `max_bytes`. Errors as MappedFile::Open, and INVALID_ARGUMENT when it is larger.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

// A file in the making, written part by part: under a temporary name in the same folder until Commit, so that
// a reader never sees half a file. A file that is there keeps its permissions and, where that is allowed, its
// owner; a new one has those that the umask leaves. Where `path` is a link, the file that it leads to is
// replaced or made, and the link stays. Descriptors (/dev/stdout, /dev/fd/N), pipes and devices cannot be
// replaced: they are written at once. Used by one thread.
class AtomicFile {
 public:
  // Errors here and below are those of the system, with the path: NOT_FOUND when the folder is missing,
  // PERMISSION_DENIED, RESOURCE_EXHAUSTED when the disk is full, FAILED_PRECONDITION for a folder.
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(const std::string& path);

  // Without Commit, removes what was written, unless it was written at once.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  absl::Status Append(absl::Span<const char> content);
  // Brings it to the disk and gives it its name. Nothing may follow.
  absl::Status Commit();

 private:
  // `end` is where the links of `path` lead; `temporary` is empty for what is written at once.
  AtomicFile(std::string path, std::string end, std::string temporary, int descriptor)
      : path_(std::move(path)),
        end_(std::move(end)),
        temporary_(std::move(temporary)),
        descriptor_(descriptor) {}

  const std::string path_;
  const std::string end_;
  std::string temporary_;
  int descriptor_;
};

// The whole content at once.
absl::Status WriteFileAtomically(const std::string& path, absl::Span<const char> content);

}  // namespace kandinsky
