#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "training/dataset/caption_dataset.h"

namespace kandinsky::training {

// The files of a dataset's folder and of those within it, by what they are to a training. Sorted, with paths.
struct FolderScan {
  std::vector<std::string> images;  // by their names
  std::vector<std::string> texts;   // .txt
  // The first of the others and how many there are, by extension in lower case, e.g. ".gif".
  struct Others {
    std::string first;
    size_t count = 0;
  };
  std::map<std::string, Others> others;
};

// Lists all files below `folder`, not through links to folders, and nothing whose name begins with a dot.
// INVALID_ARGUMENT when a folder cannot be listed.
absl::StatusOr<FolderScan> ScanFolder(const std::string& folder);

// The .txt file that holds an image's caption: that of its name beside it.
std::string CaptionFileOf(const std::string& image);

// What a folder holds that nothing is learned from, a line for each kind: files that are no images,
// captions without an image, and one caption for two images.
std::vector<std::string> NotesOnFolder(const FolderScan& scan);

// The same where the table named `table` in the folder gave `samples`: images that it does not name, and
// captions beside images, which are not read.
std::vector<std::string> NotesOnTableFolder(const FolderScan& scan, const std::string& table,
                                            const std::vector<TrainingSample>& samples);

}  // namespace kandinsky::training
