#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace kandinsky {

namespace fs = std::filesystem;

namespace {

absl::Status ErrnoStatus(int error, const std::string& what, const std::string& path) {
  return absl::ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

size_t PageSize() {
  static const size_t size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, "cannot open", path);
  const absl::Cleanup close_fd = [fd] { ::close(fd); };
  struct stat info;
  if (::fstat(fd, &info) != 0) return ErrnoStatus(errno, "cannot stat", path);
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(path, nullptr, 0));
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "cannot map", path);
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::MappedFile(std::string path, const std::byte* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::ReleasePages() const {
  // Advice: there is nothing to do when it fails.
  if (data_ != nullptr) ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

void MappedFile::ReleasePages(size_t offset, size_t size) const {
  const size_t page = PageSize();
  const size_t begin = (offset + page - 1) / page * page;
  // The last page of the file has nobody behind it.
  const size_t end = offset + size == size_ ? size_ : (offset + size) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

void MappedFile::ReadAhead(size_t offset, size_t size) const {
  const size_t begin = offset / PageSize() * PageSize();
  if (size > 0) ::madvise(const_cast<std::byte*>(data_) + begin, offset + size - begin, MADV_WILLNEED);
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  if (file->bytes().size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", file->bytes().size(), " bytes, more than the limit of ", max_bytes));
  }
  return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
}

namespace {

constexpr int kMostLinks = 40;  // of Linux

// The open descriptor that a path is a name of; -1 for any other.
int DescriptorOf(const std::string& path) {
  absl::string_view number = path;
  int descriptor = -1;
  if (!absl::ConsumePrefix(&number, "/dev/fd/") && !absl::ConsumePrefix(&number, "/proc/self/fd/")) return -1;
  return absl::SimpleAtoi(number, &descriptor) && descriptor >= 0 ? descriptor : -1;
}

// Where links from `path` lead in the end, which may not exist. A descriptor's name is a link too, but to
// something that may have no name.
absl::StatusOr<std::string> FollowLinks(const std::string& path) {
  fs::path end(path);
  for (int i = 0; i <= kMostLinks; ++i) {
    std::error_code error;
    const fs::path target = fs::read_symlink(end, error);
    if (error || DescriptorOf(end.string()) >= 0) return end.string();
    end = target.is_absolute() ? target : end.parent_path() / target;
  }
  return ErrnoStatus(ELOOP, "cannot write", path);
}

// A new file beside `path`, with the permissions of a new file, which mkstemp does not give. The system's
// error is in errno.
int OpenBeside(const std::string& path, std::string& name) {
  static std::atomic<int> count = 0;
  while (true) {
    name = absl::StrCat(path, ".", ::getpid(), "-", count++, ".part");
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

// Gives a new file the owner, if that is possible, and the permissions of the one that it replaces.
int TakePermissions(int descriptor, const struct stat& old) {
  if (old.st_uid != ::geteuid() || old.st_gid != ::getegid()) {
    [[maybe_unused]] const int ignored = ::fchown(descriptor, old.st_uid, old.st_gid);
  }
  return ::fchmod(descriptor, old.st_mode & 07777) == 0 ? 0 : errno;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path) {
  ASSIGN_OR_RETURN(std::string end, FollowLinks(path));
  const auto direct = [&](int descriptor) -> absl::StatusOr<std::unique_ptr<AtomicFile>> {
    if (descriptor < 0) return ErrnoStatus(errno, "cannot open", path);
    return std::unique_ptr<AtomicFile>(new AtomicFile(path, end, /*temporary=*/"", descriptor));
  };
  if (const int descriptor = DescriptorOf(end); descriptor >= 0) {
    return direct(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  }
  struct stat old;
  const bool exists = ::stat(end.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) return ErrnoStatus(EISDIR, "cannot write", path);
  if (exists && !S_ISREG(old.st_mode)) return direct(::open(end.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  std::string temporary;
  const int descriptor = OpenBeside(end, temporary);
  if (descriptor < 0) return ErrnoStatus(errno, "cannot create", temporary);
  std::unique_ptr<AtomicFile> file(new AtomicFile(path, std::move(end), std::move(temporary), descriptor));
  if (const int error = exists ? TakePermissions(descriptor, old) : 0; error != 0) {
    return ErrnoStatus(error, "cannot keep the permissions of", path);
  }
  return file;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

absl::Status AtomicFile::Append(absl::Span<const char> content) {
  size_t written = 0;
  while (written < content.size()) {
    const ssize_t count = ::write(descriptor_, content.data() + written, content.size() - written);
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "cannot write", path_);
    }
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  // EINVAL: pipes, devices and some file systems cannot say when something is on the disk.
  int error = ::fsync(descriptor_) != 0 && errno != EINVAL && errno != EROFS ? errno : 0;
  if (::close(std::exchange(descriptor_, -1)) != 0 && error == 0) error = errno;
  if (error != 0) return ErrnoStatus(error, "cannot write", path_);
  if (temporary_.empty()) return absl::OkStatus();
  if (::rename(temporary_.c_str(), end_.c_str()) != 0) return ErrnoStatus(errno, "cannot rename to", path_);
  temporary_.clear();
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, absl::Span<const char> content) {
  ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file, AtomicFile::Create(path));
  RETURN_IF_ERROR(file->Append(content));
  return file->Commit();
}

}  // namespace kandinsky
