#include "training/dataset/caption_dataset.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "training/dataset/caption_table.h"
#include "training/dataset/dataset_problems.h"
#include "training/dataset/folder_scan.h"
#include "training/dataset/sample_checks.h"

namespace kandinsky::training {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxCaptionFileBytes = 64 << 10;

// The sample of an image with its caption beside it. What is wrong with it becomes a problem.
TrainingSample SampleBeside(const std::string& image, bool captions_required, DatasetProblems& problems) {
  TrainingSample sample = {.image_path = image, .captions = {}, .source = image, .line = 0};
  const std::string caption_path = CaptionFileOf(image);
  const absl::StatusOr<std::string> text = ReadFile(caption_path, kMaxCaptionFileBytes);
  if (absl::IsNotFound(text.status())) {
    if (captions_required) problems.Add(image, absl::StrCat("its caption is missing, ", caption_path));
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

absl::StatusOr<CaptionDataset> ReadTableFolder(const fs::path& table, const DataSource& source) {
  ASSIGN_OR_RETURN(CaptionDataset dataset, ReadCaptionTable(table, source));
  if (source.max_samples > 0) return dataset;  // the others are left out on purpose
  ASSIGN_OR_RETURN(const FolderScan scan, ScanFolder(source.path));
  for (std::string& note : NotesOnTableFolder(scan, table.filename(), dataset.samples)) {
    dataset.notes.push_back(std::move(note));
  }
  return dataset;
}

absl::StatusOr<CaptionDataset> ReadFolder(const DataSource& source) {
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
  if (!tables.empty()) return ReadTableFolder(tables.front(), source);
  ASSIGN_OR_RETURN(FolderScan scan, ScanFolder(source.path));
  if (scan.images.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.path, ": there are no images in it (.png, .jpg, .jpeg, .webp)"));
  }
  CaptionDataset dataset;
  dataset.notes = NotesOnFolder(scan);
  if (source.max_samples > 0) {
    scan.images.resize(std::min(scan.images.size(), static_cast<size_t>(source.max_samples)));
  }
  DatasetProblems problems;
  dataset.samples.reserve(scan.images.size());
  for (const std::string& image : scan.images) {
    dataset.samples.push_back(SampleBeside(image, source.captions_required, problems));
  }
  RETURN_IF_ERROR(problems.ToStatus());
  return dataset;
}

}  // namespace

std::string PlaceOf(const TrainingSample& sample) {
  return sample.line > 0 ? absl::StrCat(sample.source, ":", sample.line) : sample.source;
}

absl::StatusOr<CaptionDataset> ReadCaptionDataset(const DataSource& source) {
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

}  // namespace kandinsky::training
