#pragma once

#include <cstdint>
#include <string>

namespace kandinsky {

// What this process may still allocate, in bytes: the smallest of the memory that the machine has available,
// what its control groups (version 1 or 2, parents included) leave over, with their idle file cache counted
// as free, and what its address space limit leaves over. 0 when a limit is exceeded, INT64_MAX when nothing
// is known. A snapshot: others may allocate too.
//
// `root` is the folder that holds proc/ and sys/.
int64_t AvailableMemoryBytes(const std::string& root = "");

}  // namespace kandinsky
