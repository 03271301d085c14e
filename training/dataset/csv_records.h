#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace kandinsky::training {

// One record of a CSV text.
struct CsvRecord {
  int line = 0;  // of its first character, from 1
  std::vector<std::string> fields;
};

// Gives the records of `text`, which `name` stands for in messages, to `on_record` in their order, until that
// returns false. RFC 4180, with line ends of any kind: fields between quotes may hold commas, line ends and
// doubled quotes; white space around others is dropped, and lines without anything are no records. Bytes
// above 127 pass unseen.
// INVALID_ARGUMENT, with the line, for a quote inside a field without quotes or behind a closing one, for a
// quote that is not closed, and for a record above 1 MiB. RESOURCE_EXHAUSTED when there is no memory.
absl::Status ReadCsvRecords(absl::string_view text, const std::string& name,
                            absl::FunctionRef<bool(CsvRecord&)> on_record);

}  // namespace kandinsky::training
