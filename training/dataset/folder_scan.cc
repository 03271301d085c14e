#include "training/dataset/folder_scan.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxExamples = 3;

void AddFile(const fs::path& path, FolderScan& scan) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  if (extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".webp") {
    scan.images.push_back(path.string());
  } else if (extension == ".txt") {
    scan.texts.push_back(path.string());
  } else {
    FolderScan::Others& others = scan.others[extension];
    ++others.count;
    if (others.first.empty() || path.string() < others.first) others.first = path.string();
  }
}

// "a.txt, b.txt, c.txt and 5 more".
std::string Examples(const std::vector<std::string>& paths) {
  const size_t listed = std::min(paths.size(), kMaxExamples);
  std::string text = absl::StrJoin(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(listed), ", ");
  if (paths.size() > listed) absl::StrAppend(&text, " and ", paths.size() - listed, " more");
  return text;
}

void AddNote(const std::vector<std::string>& paths, const std::string& what,
             std::vector<std::string>& notes) {
  if (!paths.empty()) notes.push_back(absl::StrCat(what, ": ", Examples(paths)));
}

void AddNoteOnOthers(const FolderScan& scan, std::vector<std::string>& notes) {
  std::vector<std::string> kinds;
  for (const auto& [extension, others] : scan.others) {
    kinds.push_back(absl::StrCat(others.count, " ", extension.empty() ? "without an extension" : extension,
                                 " (", others.first, others.count > 1 ? ", ..." : "", ")"));
  }
  if (kinds.empty()) return;
  notes.push_back(absl::StrCat("passed over, since they are no .png, .jpg, .jpeg or .webp: ",
                               absl::StrJoin(kinds, ", ")));
}

std::string Normal(const std::string& path) { return fs::path(path).lexically_normal().string(); }

}  // namespace

absl::StatusOr<FolderScan> ScanFolder(const std::string& folder) {
  FolderScan scan;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unused;  // a broken link is no file
    const bool hidden = absl::StartsWith(entry->path().filename().string(), ".");
    if (hidden && entry->is_directory(unused)) entry.disable_recursion_pending();
    if (!hidden && entry->is_regular_file(unused)) AddFile(entry->path(), scan);
  }
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": cannot list it: ", error.message()));
  }
  std::sort(scan.images.begin(), scan.images.end());
  std::sort(scan.texts.begin(), scan.texts.end());
  return scan;
}

std::string CaptionFileOf(const std::string& image) {
  return fs::path(image).replace_extension(".txt").string();
}

std::vector<std::string> NotesOnFolder(const FolderScan& scan) {
  std::set<std::string> captions;
  std::vector<std::string> shared;
  for (const std::string& image : scan.images) {
    if (!captions.insert(CaptionFileOf(image)).second) shared.push_back(image);
  }
  std::vector<std::string> unmatched;
  for (const std::string& text : scan.texts) {
    if (captions.count(text) == 0) unmatched.push_back(text);
  }
  std::vector<std::string> notes;
  AddNoteOnOthers(scan, notes);
  AddNote(unmatched, "captions without an image of their name", notes);
  AddNote(shared, "images that share the caption of another of their name", notes);
  return notes;
}

std::vector<std::string> NotesOnTableFolder(const FolderScan& scan, const std::string& table,
                                            const std::vector<TrainingSample>& samples) {
  std::set<std::string> named;
  for (const TrainingSample& sample : samples) {
    named.insert(Normal(sample.image_path));
    named.insert(Normal(sample.hint_path));
  }
  std::vector<std::string> unnamed;
  std::vector<std::string> unread;
  std::set<std::string> captions;
  for (const std::string& image : scan.images) {
    captions.insert(CaptionFileOf(image));
    if (named.count(Normal(image)) == 0) unnamed.push_back(image);
  }
  for (const std::string& text : scan.texts) {
    if (captions.count(text) > 0) unread.push_back(text);
  }
  std::vector<std::string> notes;
  AddNote(unnamed, absl::StrCat("images that ", table, " does not name, passed over"), notes);
  AddNote(unread, absl::StrCat("captions that are not read, since ", table, " has them"), notes);
  return notes;
}

}  // namespace kandinsky::training
