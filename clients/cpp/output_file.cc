#include "clients/cpp/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/standard_streams.h"

namespace kandinsky::client {

namespace fs = std::filesystem;

namespace {

constexpr int kMostLinks = 40;  // of Linux

const char* WhatToDo(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "make room there or write elsewhere";
    case EFBIG:
      return "raise the limit of file sizes (ulimit -f) or write elsewhere";
    case EACCES:
    case EPERM:
    case EROFS:
      return "write to a place that you may write to";
    case ENOENT:
    case ENOTDIR:
      return "create its folder first";
    default:
      return "write elsewhere";
  }
}

absl::Status Failed(const std::string& path, int error) {
  const absl::Status plain = absl::ErrnoToStatus(error, absl::StrCat("cannot write ", path));
  return absl::Status(plain.code(), absl::StrCat(plain.message(), "; ", WhatToDo(error)));
}

// Where links from `path` lead in the end, which may not exist.
absl::StatusOr<std::string> FollowLinks(const std::string& path) {
  fs::path end(path);
  std::error_code error;
  for (int i = 0; i <= kMostLinks; ++i) {
    // A descriptor's name is a link too, to something that has no name.
    if (OutputDescriptor(end.string()) >= 0) return end.string();
    const fs::path target = fs::read_symlink(end, error);
    if (error) return end.string();  // no link
    end = target.is_absolute() ? target : end.parent_path() / target;
  }
  return Failed(path, ELOOP);
}

int WriteDirectly(const std::string& path, const std::string& content) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return errno;
  const int error = WriteAll(descriptor, content);
  // Network file systems tell of a full disk only now.
  const int closing = ::close(descriptor) == 0 ? 0 : errno;
  return error != 0 ? error : closing;
}

// A new file in the folder of `path`, with the permissions of a new file.
int OpenAside(const std::string& path, std::string& name) {
  static int count = 0;
  while (true) {
    // Not made from the name of the file, which may be as long as names can be.
    const std::string own = absl::StrCat(".kandinsky-", ::getpid(), "-", count++, ".part");
    name = (fs::path(path).parent_path() / own).string();
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

// Replaces the plain file `path`, which has the state `old` or does not exist.
int Replace(const std::string& path, const std::optional<struct stat>& old, const std::string& content) {
  std::string part;
  const int descriptor = OpenAside(path, part);
  const bool forbidden = descriptor < 0 && (errno == EACCES || errno == EPERM || errno == EROFS);
  if (forbidden && old) return WriteDirectly(path, content);
  if (descriptor < 0) return errno;
  int error = old ? TakePermissions(descriptor, *old) : 0;
  if (error == 0) error = WriteAll(descriptor, content);
  // EINVAL: a file system that cannot say when a file is on the disk.
  if (error == 0 && ::fsync(descriptor) != 0 && errno != EINVAL) error = errno;
  if (::close(descriptor) != 0 && error == 0) error = errno;
  if (error == 0 && std::rename(part.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return 0;
  ::unlink(part.c_str());
  // A file that is a mount point of its own, as containers have them, cannot be replaced.
  return error == EBUSY && old ? WriteDirectly(path, content) : error;
}

absl::Status IsFolder(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, " is a folder; name a file in it"));
}

absl::Status CheckAccess(const std::string& path, const std::string& place, int mode) {
  return ::faccessat(AT_FDCWD, place.c_str(), mode, AT_EACCESS) == 0 ? absl::OkStatus() : Failed(path, errno);
}

// CheckOutput of a file that does not exist.
absl::Status CheckFolder(const std::string& path) {
  const absl::StatusOr<std::string> end = FollowLinks(path);
  if (!end.ok()) return end.status();
  if (fs::path(*end).filename().empty()) return IsFolder(path);
  const fs::path parent = fs::path(*end).parent_path();
  const std::string folder = (parent.empty() ? fs::path(".") : parent).string();
  struct stat state = {};
  if (::stat(folder.c_str(), &state) != 0 || !S_ISDIR(state.st_mode)) {
    return absl::NotFoundError(
        absl::StrCat("there is no folder ", folder, " to write ", path, " in; create it first"));
  }
  return CheckAccess(path, folder, W_OK | X_OK);
}

absl::Status CheckPath(const std::string& path, bool binary) {
  if (path.empty()) return absl::InvalidArgumentError("the name of the file is empty");
  if (const int descriptor = OutputDescriptor(path); descriptor >= 0) {
    if (!binary || ::isatty(descriptor) != 1) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is a terminal, which cannot show the file; redirect it or name a file"));
  }
  struct stat state = {};
  if (::stat(path.c_str(), &state) == 0) {
    return S_ISDIR(state.st_mode) ? IsFolder(path) : CheckAccess(path, path, W_OK);
  }
  return errno == ENOENT || errno == ENOTDIR ? CheckFolder(path) : Failed(path, errno);
}

}  // namespace

absl::Status CheckOutput(const std::string& flag, const std::string& path, bool binary) {
  const absl::Status status = CheckPath(path, binary);
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(flag, ": ", status.message()));
}

absl::Status WriteFile(const std::string& path, const std::string& content) {
  const absl::StatusOr<std::string> end = FollowLinks(path);
  if (!end.ok()) return end.status();
  if (const int descriptor = OutputDescriptor(*end); descriptor >= 0) {
    const int error = WriteAll(descriptor, content);
    return error == 0 ? absl::OkStatus() : Failed(path == "-" ? "the standard output" : path, error);
  }
  struct stat state = {};
  const bool exists = ::stat(end->c_str(), &state) == 0;
  if (!exists && errno != ENOENT) return Failed(path, errno);
  int error = 0;
  if (exists && !S_ISREG(state.st_mode)) {
    error = WriteDirectly(*end, content);
  } else if (exists && ::faccessat(AT_FDCWD, end->c_str(), W_OK, AT_EACCESS) != 0) {
    error = errno;  // renaming would not ask
  } else {
    error = Replace(*end, exists ? std::optional(state) : std::nullopt, content);
  }
  return error == 0 ? absl::OkStatus() : Failed(path, error);
}

}  // namespace kandinsky::client
