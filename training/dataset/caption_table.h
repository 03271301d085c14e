#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "training/dataset/caption_dataset.h"

namespace kandinsky::training {

// Whether the name of a file is that of a table: it ends in .csv or .jsonl, in any case.
bool IsCaptionTable(const std::string& path);

// The samples of the table at `path`, which is a table by its name; `source` gives the columns and what is
// wanted. Rules and errors as ReadCaptionDataset. Thread-safe.
absl::StatusOr<CaptionDataset> ReadCaptionTable(const std::string& path, const DataSource& source);

}  // namespace kandinsky::training
