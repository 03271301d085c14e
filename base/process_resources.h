#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kandinsky {

// What control groups (version 1, version 2, or both at once), the affinity mask and other limits leave this
// process of the machine. Each function reads the files below proc/ and sys/ in `root` anew; thread-safe.

// Returns how many CPUs the calling thread may keep busy: those of its affinity mask, or the smallest quota
// of the process's control group and the group's parents, rounded up, whichever is less. At least 1.
int AvailableCpus(const std::string& root = "");

// Returns the quota's part of AvailableCpus: at least 1; nothing when no group has one.
std::optional<int> CpuQuota(const std::string& root = "");

// Returns what this process may still allocate, in bytes: the smallest of the memory that the machine has
// available, what its control groups (parents included) leave over, with their idle file cache counted as
// free, and what its address space limit leaves over. 0 when a limit is exceeded, INT64_MAX when nothing is
// known. A snapshot: others may allocate too.
int64_t AvailableMemoryBytes(const std::string& root = "");

}  // namespace kandinsky
