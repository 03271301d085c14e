#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace kandinsky::training {

// An image to learn from.
struct TrainingSample {
  std::string image_path;             // absolute, or from the working folder like DataSource::path
  std::vector<std::string> captions;  // UTF-8 without white space around it, not empty; none only if allowed
  std::string source;                 // the file that named it: a table, a caption's file, or the image
  int line = 0;                       // of the table, from 1; 0 for other sources
  std::string hint_path = {};         // image that a ControlNet follows, as image_path; empty without one
};

// A dataset, and what its reader should know of it: a line for each kind of file or column that nothing is
// learned from, e.g. images in a format that cannot be read, or captions without an image.
struct CaptionDataset {
  std::vector<TrainingSample> samples;
  std::vector<std::string> notes;
};

// "table.csv:12", or the source alone where it has no lines.
std::string PlaceOf(const TrainingSample& sample);

struct DataSource {
  std::string path;
  std::string image_column = "image";
  std::string caption_column = "text";
  std::string hint_column = "hint";
  int max_samples = 0;            // only the first so many are read and checked; 0: all
  bool captions_required = true;  // whether an image without a caption is an error
};

// Reads the names and captions of a dataset, not its pixels, and sees that every image is there. `path` is
// one of:
//
// - A folder with metadata.jsonl or metadata.csv, the layout of Hugging Face's "imagefolder". That table is
//   read as below; images that it does not name are left out.
// - Any other folder: all .png, .jpg, .jpeg and .webp files in it and in folders within (not through links to
//   folders; nothing whose name begins with a dot), by name in the order of bytes. Each has its caption, the
//   whole text of at most 64 KiB, in the .txt file of the same stem beside it.
// - A .csv file: RFC 4180 with a header line; quoted fields may hold commas, quotes and line ends.
// - A .jsonl file: one object a line; the caption is a string or a list of strings.
//
// Tables are UTF-8, with or without a byte order mark, of at most 1 GiB, with records of at most 1 MiB. They
// name an image by an absolute path or by one relative to the table. Where image_column is absent, file_name
// and image_name stand in for it, and caption for caption_column. A hint is named like an image, and may be
// absent or empty.
//
// NOT_FOUND when there is nothing at `path`. INVALID_ARGUMENT for a table without the columns, for a dataset
// without samples, and with one line "place: rule" for each of the first 20 samples that are wrong (an image
// that is missing, a caption that is empty, text that is not UTF-8, a line that is no JSON object, a record
// with more or fewer fields than the header) and the number of the others. Thread-safe.
absl::StatusOr<CaptionDataset> ReadCaptionDataset(const DataSource& source);

}  // namespace kandinsky::training
