#include "training/folder_replacement.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

// Brings the names in a folder to the disk; the files' contents are there already.
void SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void SyncFolders(const fs::path& root) {
  std::error_code error;
  fs::recursive_directory_iterator entry(root, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unused;
    if (entry->is_directory(unused)) SyncFolder(entry->path());
  }
  SyncFolder(root);
}

}  // namespace

absl::Status FileError(const fs::path& path, const std::error_code& error) {
  return absl::UnavailableError(absl::StrCat(path.string(), ": ", error.message()));
}

absl::Status ReplaceFolder(const std::string& folder,
                           const std::function<absl::Status(const fs::path&)>& write) {
  const fs::path partial = folder + ".partial";
  const fs::path old = folder + ".old";
  std::error_code error;
  fs::remove_all(partial, error);
  fs::create_directories(partial, error);
  if (error) return FileError(partial, error);
  const absl::Cleanup discard = [&] {
    std::error_code unused;
    fs::remove_all(partial, unused);
  };
  RETURN_IF_ERROR(write(partial));
  SyncFolders(partial);
  fs::remove_all(old, error);
  const bool replaces = fs::exists(folder, error);
  if (replaces) fs::rename(folder, old, error);
  if (error) return FileError(folder, error);
  fs::rename(partial, folder, error);
  if (error) {
    absl::Status failed = FileError(folder, error);
    if (replaces) fs::rename(old, folder, error);
    return failed;
  }
  SyncFolder(fs::path(folder).parent_path());
  fs::remove_all(old, error);
  return absl::OkStatus();
}

}  // namespace kandinsky::training
