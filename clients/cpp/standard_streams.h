#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kandinsky::client {

// The three streams that a program starts with, and descriptors in general.

// To be called before anything is opened: a standard descriptor that was closed (as in `>&-`) would become
// the number of the next file or connection, which then gets what is printed. It is taken by /dev/null,
// opened so that its use fails as before. Files that grow beyond the limit of their size, which ends a
// process by SIGXFSZ, give an error instead.
void PrepareStandardStreams();

// The descriptor that a path of the forms "-" (standard output), /dev/stdout, /dev/stderr, /dev/fd/N and
// /proc/self/fd/N stands for; -1 for any other.
int OutputDescriptor(const std::string& path);
bool IsStandardOutput(const std::string& path);

// Writes all of it. The system's number of the error, or 0.
int WriteAll(int descriptor, const std::string& content);

// Writes what a program prints. The error says that the standard output was lost, and why.
absl::Status WriteStandardOutput(const std::string& content);

// All of standard input. INVALID_ARGUMENT when it is longer than `max_bytes`. The second call of a process is
// INVALID_ARGUMENT: there is nothing left to read. `flag` begins the error.
absl::StatusOr<std::string> ReadStandardInput(const std::string& flag, size_t max_bytes);

// Whether progress can be drawn over itself: standard error is a terminal that understands more than lines
// (TERM is set and not "dumb").
bool CanRedrawLines();

// Columns of the terminal: COLUMNS if it is a number, or what the terminal of standard error says now, or 80.
int TerminalColumns();

}  // namespace kandinsky::client
