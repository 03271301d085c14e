#include "training/dataset/caption_table.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/json_file.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "training/dataset/csv_records.h"
#include "training/dataset/dataset_problems.h"
#include "training/dataset/sample_checks.h"

namespace kandinsky::training {
namespace {

constexpr size_t kMaxTableBytes = size_t{1} << 30;
constexpr size_t kMaxLineBytes = size_t{1} << 20;

// Names that are tried in this order: what was asked for, then those of Hugging Face's image folders and of
// the reference implementation's tables.
std::vector<std::string> ImageColumns(const DataSource& source) {
  return {source.image_column, "file_name", "image_name"};
}
std::vector<std::string> CaptionColumns(const DataSource& source) {
  return {source.caption_column, "caption"};
}

// Those of `names` that are there, each once.
template <typename IsThere>
std::vector<std::string> Present(const std::vector<std::string>& names, IsThere is_there) {
  std::vector<std::string> present;
  for (const std::string& name : names) {
    const bool seen = std::find(present.begin(), present.end(), name) != present.end();
    if (!seen && is_there(name)) present.push_back(name);
  }
  return present;
}

// "no column "image", nor file_name or image_name".
std::string MissingColumn(const char* kind, const std::vector<std::string>& tried) {
  std::string text = absl::StrCat("no ", kind, " \"", tried.front(), "\"");
  for (size_t i = 1; i < tried.size(); ++i) {
    if (tried[i] != tried.front()) absl::StrAppend(&text, " nor \"", tried[i], "\"");
  }
  return text;
}

// Checks rows and makes samples of them.
class SampleList {
 public:
  SampleList(const std::string& path, const DataSource& source)
      : path_(path), folder_(std::filesystem::path(path).parent_path()), source_(source) {}

  std::string Place(int line) const { return absl::StrCat(path_, ":", line); }

  // Whether as many rows were seen as are wanted.
  bool full() const { return source_.max_samples > 0 && rows_ >= source_.max_samples; }

  void AddRow(int line, const std::string& image, const std::string& hint,
              std::vector<std::string> captions) {
    ++rows_;
    if (image.empty()) return problems_.Add(Place(line), "the image's path is empty");
    if (const auto violation = TextViolation(image)) {
      return problems_.Add(Place(line), absl::StrCat("the image's path ", *violation));
    }
    TrainingSample sample = {.image_path = folder_ / image, .captions = {}, .source = path_, .line = line};
    if (const auto violation = ImageViolation(sample.image_path)) {
      return problems_.Add(Place(line), *violation);
    }
    if (const auto violation = CaptionsViolation(source_.captions_required, captions)) {
      return problems_.Add(Place(line), *violation);
    }
    if (!hint.empty()) {
      if (const auto violation = TextViolation(hint)) {
        return problems_.Add(Place(line), absl::StrCat("the hint's path ", *violation));
      }
      sample.hint_path = folder_ / hint;
      if (const auto violation = ImageViolation(sample.hint_path)) {
        return problems_.Add(Place(line), *violation);
      }
    }
    sample.captions = std::move(captions);
    samples_.push_back(std::move(sample));
  }

  // A row that holds no sample.
  void AddProblem(int line, const std::string& rule) { AddProblem(absl::StrCat(Place(line), ": ", rule)); }
  void AddProblem(std::string message) {
    ++rows_;
    problems_.Add(std::move(message));
  }

  // The columns or keys `present` stand in for each other, and the first is read.
  void NoteColumns(const char* what, const std::vector<std::string>& present) {
    for (size_t i = 1; i < present.size(); ++i) {
      notes_.insert(
          absl::StrCat(what, " \"", present[i], "\" is not read, since there is \"", present[0], "\""));
    }
  }

  absl::StatusOr<CaptionDataset> Finish() {
    RETURN_IF_ERROR(problems_.ToStatus());
    if (samples_.empty())
      return absl::InvalidArgumentError(absl::StrCat(path_, ": there are no samples in it"));
    return CaptionDataset{std::move(samples_), {notes_.begin(), notes_.end()}};
  }

 private:
  const std::string& path_;
  const std::filesystem::path folder_;
  const DataSource& source_;
  std::vector<TrainingSample> samples_;
  DatasetProblems problems_;
  std::set<std::string> notes_;
  int rows_ = 0;
};

// Places of the columns in the records of a CSV file.
struct Columns {
  size_t count = 0;
  size_t image = 0;
  std::optional<size_t> caption;
  std::optional<size_t> hint;
};

// The first of `names` that the header has; INVALID_ARGUMENT when it has that twice.
absl::StatusOr<std::optional<size_t>> FindColumn(const CsvRecord& header,
                                                 const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::optional<size_t> found;
    for (size_t i = 0; i < header.fields.size(); ++i) {
      if (header.fields[i] != name) continue;
      if (found.has_value()) {
        return absl::InvalidArgumentError(absl::StrCat("the header has the column \"", name, "\" twice"));
      }
      found = i;
    }
    if (found.has_value()) return found;
  }
  return std::nullopt;
}

absl::StatusOr<Columns> FindColumns(const CsvRecord& header, const DataSource& source) {
  const std::string all = absl::StrJoin(header.fields, ", ");
  if (const auto violation = TextViolation(all)) {
    return absl::InvalidArgumentError(absl::StrCat("the header ", *violation));
  }
  const auto missing = [&](const std::vector<std::string>& names) {
    return absl::InvalidArgumentError(
        absl::StrCat(MissingColumn("column", names), "; the header has ", all.substr(0, 1000)));
  };
  Columns columns;
  columns.count = header.fields.size();
  ASSIGN_OR_RETURN(const std::optional<size_t> image, FindColumn(header, ImageColumns(source)));
  if (!image.has_value()) return missing(ImageColumns(source));
  columns.image = *image;
  ASSIGN_OR_RETURN(columns.caption, FindColumn(header, CaptionColumns(source)));
  if (!columns.caption.has_value() && source.captions_required) return missing(CaptionColumns(source));
  ASSIGN_OR_RETURN(columns.hint, FindColumn(header, {source.hint_column}));
  return columns;
}

absl::Status ReadCsvRows(absl::string_view text, const std::string& path, const DataSource& source,
                         SampleList& list) {
  std::optional<Columns> columns;
  absl::Status header_status = absl::InvalidArgumentError(absl::StrCat(path, ": there is no header line"));
  const auto on_record = [&](CsvRecord& record) {
    if (!columns.has_value()) {
      const absl::StatusOr<Columns> found = FindColumns(record, source);
      header_status = found.ok() ? absl::OkStatus()
                                 : absl::InvalidArgumentError(
                                       absl::StrCat(list.Place(record.line), ": ", found.status().message()));
      if (!found.ok()) return false;
      columns = *found;
      const auto in_header = [&](const std::string& name) {
        return std::find(record.fields.begin(), record.fields.end(), name) != record.fields.end();
      };
      list.NoteColumns("the column", Present(ImageColumns(source), in_header));
      list.NoteColumns("the column", Present(CaptionColumns(source), in_header));
      return true;
    }
    if (record.fields.size() != columns->count) {
      list.AddProblem(record.line, absl::StrCat("the record has ", record.fields.size(),
                                                " fields, the header has ", columns->count));
    } else {
      std::vector<std::string> captions;
      if (columns->caption.has_value()) captions.push_back(std::move(record.fields[*columns->caption]));
      const std::string hint = columns->hint.has_value() ? record.fields[*columns->hint] : "";
      list.AddRow(record.line, record.fields[columns->image], hint, std::move(captions));
    }
    return !list.full();
  };
  RETURN_IF_ERROR(ReadCsvRecords(text, path, on_record));
  return header_status;
}

// The value of the first of `names` that `object` has, or null.
const nlohmann::json* FindValue(const nlohmann::json& object, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = object.find(name);
    if (found != object.end()) return &*found;
  }
  return nullptr;
}

// The texts of a string or a list of strings; nothing when it is neither.
std::optional<std::vector<std::string>> TextsOf(const nlohmann::json& value) {
  if (value.is_string()) return std::vector<std::string>{value.get<std::string>()};
  if (!value.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const nlohmann::json& entry : value) {
    if (!entry.is_string()) return std::nullopt;
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

void AddJsonRow(int line, absl::string_view text, const DataSource& source, SampleList& list) {
  if (text.size() > kMaxLineBytes) {
    return list.AddProblem(line, absl::StrCat("the line has more than ", kMaxLineBytes, " bytes"));
  }
  if (const auto violation = TextViolation(text)) {
    return list.AddProblem(line, absl::StrCat("the line ", *violation));
  }
  const absl::StatusOr<nlohmann::json> row = ParseJson(text, list.Place(line));
  if (!row.ok()) return list.AddProblem(std::string(row.status().message()));
  if (!row->is_object()) return list.AddProblem(line, "the line is no JSON object");
  const nlohmann::json* const image = FindValue(*row, ImageColumns(source));
  if (image == nullptr) return list.AddProblem(line, MissingColumn("key", ImageColumns(source)));
  if (!image->is_string()) return list.AddProblem(line, "the image's path is no string");
  std::vector<std::string> captions;
  const nlohmann::json* const caption = FindValue(*row, CaptionColumns(source));
  if (caption == nullptr || caption->is_null()) {
    if (source.captions_required) {
      return list.AddProblem(line, MissingColumn("key", CaptionColumns(source)));
    }
  } else {
    std::optional<std::vector<std::string>> texts = TextsOf(*caption);
    if (!texts.has_value()) {
      return list.AddProblem(line, "the caption is neither a string nor a list of strings");
    }
    captions = *std::move(texts);
  }
  const nlohmann::json* const hint = FindValue(*row, {source.hint_column});
  const bool has_hint = hint != nullptr && !hint->is_null();
  if (has_hint && !hint->is_string()) return list.AddProblem(line, "the hint's path is no string");
  const auto in_row = [&](const std::string& name) { return row->contains(name); };
  list.NoteColumns("the key", Present(ImageColumns(source), in_row));
  list.NoteColumns("the key", Present(CaptionColumns(source), in_row));
  list.AddRow(line, image->get<std::string>(), has_hint ? hint->get<std::string>() : "", std::move(captions));
}

void ReadJsonRows(absl::string_view text, const DataSource& source, SampleList& list) {
  int line = 0;
  while (!text.empty() && !list.full()) {
    const size_t end = text.find('\n');
    const absl::string_view row = text.substr(0, end);
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    ++line;
    if (!absl::StripAsciiWhitespace(row).empty()) AddJsonRow(line, row, source, list);
  }
}

bool IsCsv(const std::string& path) { return absl::EndsWithIgnoreCase(path, ".csv"); }

}  // namespace

bool IsCaptionTable(const std::string& path) {
  return IsCsv(path) || absl::EndsWithIgnoreCase(path, ".jsonl");
}

absl::StatusOr<CaptionDataset> ReadCaptionTable(const std::string& path, const DataSource& source) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  const absl::Span<const std::byte> bytes = file->bytes();
  if (bytes.size() > kMaxTableBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", bytes.size(), " bytes, more than the limit of ", kMaxTableBytes));
  }
  const absl::string_view text =
      WithoutByteOrderMark({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  SampleList list(path, source);
  if (IsCsv(path)) {
    RETURN_IF_ERROR(ReadCsvRows(text, path, source, list));
  } else {
    ReadJsonRows(text, source, list);
  }
  return list.Finish();
}

}  // namespace kandinsky::training
