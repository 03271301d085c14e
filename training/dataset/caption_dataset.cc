#include "training/dataset/caption_dataset.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "training/dataset/caption_table.h"
#include "training/dataset/dataset_problems.h"
#include "training/dataset/sample_checks.h"

namespace kandinsky {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxCaptionFileBytes = 64 << 10;

bool IsPictureName(const fs::path& path) {
  const std::string extension = absl::AsciiStrToLower(path.extension().string());
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".webp";
}

// All pictures below `folder`, sorted.
absl::StatusOr<std::vector<std::string>> FindPictures(const std::string& folder) {
  std::vector<std::string> pictures;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    std::error_code unused;  // a broken link is no picture
    const bool hidden = absl::StartsWith(entry->path().filename().string(), ".");
    if (hidden && entry->is_directory(unused)) entry.disable_recursion_pending();
    if (!hidden && IsPictureName(entry->path()) && entry->is_regular_file(unused)) {
      pictures.push_back(entry->path().string());
    }
  }
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": cannot list it: ", error.message()));
  }
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

// The sample of a picture with its caption beside it. What is wrong with it becomes a problem.
TrainingSample SampleBeside(const std::string& picture, bool captions_required, DatasetProblems& problems) {
  TrainingSample sample = {.image_path = picture, .captions = {}, .source = picture, .line = 0};
  const std::string caption_path = fs::path(picture).replace_extension(".txt");
  const absl::StatusOr<std::string> text = ReadFile(caption_path, kMaxCaptionFileBytes);
  if (absl::IsNotFound(text.status())) {
    if (captions_required) problems.Add(picture, absl::StrCat("its caption is missing, ", caption_path));
    return sample;
  }
  if (!text.ok()) {
    problems.Add(std::string(text.status().message()));
    return sample;
  }
  sample.source = caption_path;
  sample.captions.emplace_back(WithoutByteOrderMark(*text));
  if (const auto violation = CaptionsViolation(captions_required, sample.captions)) {
    problems.Add(caption_path, *violation);
  }
  return sample;
}

absl::StatusOr<std::vector<TrainingSample>> ReadFolder(const DataSource& source) {
  std::vector<std::string> tables;
  for (const char* name : {"metadata.csv", "metadata.jsonl"}) {
    const fs::path table = fs::path(source.path) / name;
    std::error_code unused;
    if (fs::exists(table, unused)) tables.push_back(table);
  }
  if (tables.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": both metadata.csv and metadata.jsonl are in it; one is to be removed"));
  }
  if (!tables.empty()) return ReadCaptionTable(tables.front(), source);
  ASSIGN_OR_RETURN(std::vector<std::string> pictures, FindPictures(source.path));
  if (pictures.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": there are no pictures in it (.png, .jpg, .jpeg, .webp)"));
  }
  if (source.max_samples > 0) {
    pictures.resize(std::min(pictures.size(), static_cast<size_t>(source.max_samples)));
  }
  DatasetProblems problems;
  std::vector<TrainingSample> samples;
  samples.reserve(pictures.size());
  for (const std::string& picture : pictures) {
    samples.push_back(SampleBeside(picture, source.captions_required, problems));
  }
  RETURN_IF_ERROR(problems.ToStatus());
  return samples;
}

}  // namespace

std::string PlaceOf(const TrainingSample& sample) {
  return sample.line > 0 ? absl::StrCat(sample.source, ":", sample.line) : sample.source;
}

absl::StatusOr<std::vector<TrainingSample>> ReadCaptionDataset(const DataSource& source) {
  std::error_code error;
  const fs::file_status status = fs::status(source.path, error);
  if (status.type() == fs::file_type::not_found) {
    return absl::NotFoundError(absl::StrCat(source.path, ": there is no such file or folder"));
  }
  if (fs::is_directory(status)) return ReadFolder(source);
  if (IsCaptionTable(source.path)) return ReadCaptionTable(source.path, source);
  return absl::InvalidArgumentError(
      absl::StrCat(source.path, ": a dataset is a folder, a .csv or a .jsonl file"));
}

}  // namespace kandinsky
