#pragma once

#include <string>

#include "absl/status/status.h"

namespace kandinsky {

// The file of image `index` of `count`: with several images the index goes before the extension, cat.png ->
// cat-0.png, cat-1.png, ...
std::string ImagePath(const std::string& output, int index, int count);

// Whether a file could be written at `path`, to be asked before the server works for minutes. NOT_FOUND when
// its folder is missing, INVALID_ARGUMENT when it is a folder.
absl::Status CheckOutput(const std::string& path);

// UNKNOWN when the file cannot be written.
absl::Status WriteFile(const std::string& path, const std::string& content);

// The same, but whoever reads `path` meanwhile sees the old or the new content, never a part: writes a file
// beside it and renames that.
absl::Status ReplaceFile(const std::string& path, const std::string& content);

}  // namespace kandinsky
