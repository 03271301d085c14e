#include "server/process_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace kandinsky {
namespace {

// The number that a file consists of; nothing for "max", other texts and missing files.
std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  int64_t number = 0;
  if (!(file >> text) || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

// The number after the word `key` at the start of a line.
std::optional<int64_t> ReadEntry(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    int64_t number = 0;
    if (words >> word && word == key && words >> number) return number;
  }
  return std::nullopt;
}

int64_t ReadMemAvailable(const std::string& root) {
  const std::optional<int64_t> kilobytes = ReadEntry(root + "/proc/meminfo", "MemAvailable:");
  return kilobytes ? *kilobytes * 1024 : INT64_MAX;
}

// The files of a control group by version.
struct CgroupFiles {
  const char* mount;
  const char* limit;
  const char* usage;
  const char* idle_cache;  // entry of memory.stat
};
constexpr CgroupFiles kVersion1 = {"/sys/fs/cgroup/memory", "/memory.limit_in_bytes",
                                   "/memory.usage_in_bytes", "total_inactive_file"};
constexpr CgroupFiles kVersion2 = {"/sys/fs/cgroup", "/memory.max", "/memory.current", "inactive_file"};

// What the group in `folder` leaves over.
int64_t ReadGroup(const std::string& folder, const CgroupFiles& files) {
  const std::optional<int64_t> limit = ReadNumber(folder + files.limit);
  const std::optional<int64_t> usage = ReadNumber(folder + files.usage);
  if (!limit || !usage) return INT64_MAX;
  const int64_t idle = ReadEntry(folder + "/memory.stat", files.idle_cache).value_or(0);
  return *limit - std::max<int64_t>(0, *usage - idle);
}

// The smallest of the group at `path` and its parents. In a container `path` may be the host's and not exist;
// the container's own group is then the mount itself.
int64_t ReadGroups(const std::string& root, std::string path, const CgroupFiles& files) {
  int64_t smallest = INT64_MAX;
  while (true) {
    smallest = std::min(smallest, ReadGroup(absl::StrCat(root, files.mount, path), files));
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return smallest;
    path.resize(slash);
  }
}

int64_t ReadCgroups(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  int64_t smallest = INT64_MAX;
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      smallest = std::min(smallest, ReadGroups(root, path, kVersion2));
    } else if (absl::StrContains(controllers, ",memory,")) {
      smallest = std::min(smallest, ReadGroups(root, path, kVersion1));
    }
  }
  return smallest;
}

// What RLIMIT_AS leaves over.
int64_t ReadAddressSpace(const std::string& root) {
  const std::optional<int64_t> used_kilobytes = ReadEntry(root + "/proc/self/status", "VmSize:");
  std::ifstream file(root + "/proc/self/limits");
  const std::string kName = "Max address space";
  for (std::string line; std::getline(file, line);) {
    if (!absl::StartsWith(line, kName)) continue;
    std::istringstream words(line.substr(kName.size()));  // soft limit, hard limit, unit
    int64_t limit = 0;
    if (words >> limit && used_kilobytes) return limit - *used_kilobytes * 1024;
  }
  return INT64_MAX;
}

}  // namespace

int64_t AvailableMemoryBytes(const std::string& root) {
  const int64_t smallest = std::min({ReadMemAvailable(root), ReadCgroups(root), ReadAddressSpace(root)});
  return std::max<int64_t>(0, smallest);
}

}  // namespace kandinsky
