#pragma once

#include <string>

#include "absl/status/status.h"

namespace kandinsky::client {

// Files that a command writes. Errors have the system's code, and a text that says what could not be written,
// why, and what to do about it.

// Whether a file could be written at `path`, to be asked before the server works for minutes. `flag` begins
// the error. NOT_FOUND when its folder is missing, INVALID_ARGUMENT when it is a folder or empty,
// PERMISSION_DENIED when it may not be written; for the standard output, FAILED_PRECONDITION when it is a
// terminal and `binary`.
absl::Status CheckOutput(const std::string& flag, const std::string& path, bool binary = true);

// Writes the file as a whole: beside it first, to the disk, then to its name, so that whoever reads `path`
// sees the old or the new content, and a full disk leaves the old one. The file keeps its permissions, and
// links to it go on pointing to it. What is no plain file (a pipe, a device, "-" and other names of a
// descriptor) is written directly, as is a file in a folder that may not be written.
absl::Status WriteFile(const std::string& path, const std::string& content);

}  // namespace kandinsky::client
