#pragma once

#include <string>

#include "absl/status/status.h"

namespace kandinsky {

// Opens /dev/null as standard input, output or error where the process was started without one: otherwise the
// next file or connection would get its number, and what is printed would be written there. In a program that
// calls it this is done even before the initializers of its libraries, some of which open descriptors; but
// not with sanitizers, which want to be first themselves. Writing to the standard output still fails then.
void OpenStandardDescriptors();

// Writes what a program prints before it ends. The error says that the standard output was lost, and why.
absl::Status WriteStandardOutput(const std::string& content);

}  // namespace kandinsky
