#include "training/dataset/csv_records.h"

#include <csv.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace kandinsky::training {
namespace {

constexpr size_t kMaxRecordBytes = 1 << 20;

// What libcsv has told since the last call of csv_parse. That is called for one line at a time, so at most
// one record ends in it.
struct Heard {
  CsvRecord record;
  bool complete = false;
};

void OnField(void* text, size_t size, void* heard) {
  static_cast<Heard*>(heard)->record.fields.emplace_back(static_cast<const char*>(text), size);
}

void OnEnd(int /*character*/, void* heard) { static_cast<Heard*>(heard)->complete = true; }

// The line of `text` that begins at `begin`, with its end: \n, \r\n or \r.
absl::string_view LineAt(absl::string_view text, size_t begin) {
  size_t end = text.find_first_of("\r\n", begin);
  if (end == absl::string_view::npos) return text.substr(begin);
  if (text.substr(end, 2) == "\r\n") ++end;
  return text.substr(begin, end + 1 - begin);
}

bool IsBlank(absl::string_view line) { return absl::StripAsciiWhitespace(line).empty(); }

class CsvReading {
 public:
  CsvReading(const std::string& name, absl::FunctionRef<bool(CsvRecord&)> on_record)
      : name_(name), on_record_(on_record) {}

  absl::Status Read(absl::string_view text) {
    if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) return OutOfMemory();
    const absl::Cleanup free_parser = [this] { csv_free(&parser_); };
    int line = 0;
    for (size_t at = 0; at < text.size();) {
      const absl::string_view row = LineAt(text, at);
      at += row.size();
      ++line;
      if (!open_) {
        if (IsBlank(row)) continue;
        open_ = true;
        bytes_ = 0;
        heard_.record.line = line;
      }
      bytes_ += row.size();
      if (bytes_ > kMaxRecordBytes) {
        return Wrong(heard_.record.line, absl::StrCat("the record has more than ", kMaxRecordBytes,
                                                      " bytes; perhaps a quote is not closed"));
      }
      if (csv_parse(&parser_, row.data(), row.size(), OnField, OnEnd, &heard_) != row.size()) {
        if (csv_error(&parser_) == CSV_ENOMEM) return OutOfMemory();
        return Wrong(line,
                     "a quote in the middle of a field; the field needs quotes around it and two inside");
      }
      if (heard_.complete && !Deliver()) return absl::OkStatus();
    }
    if (csv_fini(&parser_, OnField, OnEnd, &heard_) != 0) {
      if (csv_error(&parser_) == CSV_ENOMEM) return OutOfMemory();
      return Wrong(heard_.record.line, "a quote of this record is not closed");
    }
    if (heard_.complete) Deliver();
    return absl::OkStatus();
  }

 private:
  // Hands the record over. Whether more are wanted.
  bool Deliver() {
    open_ = false;
    heard_.complete = false;
    CsvRecord record = std::exchange(heard_.record, {});
    return on_record_(record);
  }

  absl::Status Wrong(int line, absl::string_view rule) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line, ": ", rule));
  }

  absl::Status OutOfMemory() const {
    return absl::ResourceExhaustedError(absl::StrCat(name_, ": no memory to read it"));
  }

  const std::string& name_;
  const absl::FunctionRef<bool(CsvRecord&)> on_record_;
  csv_parser parser_ = {};
  Heard heard_;
  bool open_ = false;  // whether a record has begun and not ended
  size_t bytes_ = 0;   // of that record
};

}  // namespace

absl::Status ReadCsvRecords(absl::string_view text, const std::string& name,
                            absl::FunctionRef<bool(CsvRecord&)> on_record) {
  return CsvReading(name, on_record).Read(text);
}

}  // namespace kandinsky::training
