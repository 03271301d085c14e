#include "base/process_resources.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "base/control_groups.h"

namespace kandinsky {
namespace {

// Version 1 writes "no limit" as the largest number of whole pages.
constexpr int64_t kNoLimit = int64_t{1} << 62;

// The first numbers of a file; nothing for "max", other texts and missing files.
std::optional<int64_t> ReadNumber(std::istream& file) {
  std::string text;
  int64_t number = 0;
  if (!(file >> text) || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

std::optional<int64_t> ReadNumber(const std::string& path) {
  std::ifstream file(path);
  return ReadNumber(file);
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

// The CPUs of one group, rounded up.
std::optional<int64_t> ReadCpus(const CgroupFolder& group) {
  std::optional<int64_t> quota;
  std::optional<int64_t> period;
  if (group.version == CgroupVersion::k2) {
    std::ifstream file(group.path + "/cpu.max");
    quota = ReadNumber(file);
    period = ReadNumber(file);
  } else {
    quota = ReadNumber(group.path + "/cpu.cfs_quota_us");  // -1: none
    period = ReadNumber(group.path + "/cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return *quota / *period + (*quota % *period == 0 ? 0 : 1);
}

// What one group leaves over.
int64_t ReadMemory(const CgroupFolder& group) {
  const bool unified = group.version == CgroupVersion::k2;
  const std::optional<int64_t> limit =
      ReadNumber(group.path + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
  const std::optional<int64_t> usage =
      ReadNumber(group.path + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!limit || !usage || *limit >= kNoLimit) return INT64_MAX;
  const int64_t idle =
      ReadEntry(group.path + "/memory.stat", unified ? "inactive_file" : "total_inactive_file").value_or(0);
  return *limit - std::max<int64_t>(0, *usage - idle);
}

int64_t ReadMemAvailable(const std::string& root) {
  const std::optional<int64_t> kilobytes = ReadEntry(root + "/proc/meminfo", "MemAvailable:");
  return kilobytes ? *kilobytes * 1024 : INT64_MAX;
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

// CPUs that the calling thread may run on.
int AffinityCpus() {
  // The kernel refuses a mask that is shorter than its own; cpu_set_t alone ends at 1024 CPUs.
  for (std::vector<cpu_set_t> mask(1); mask.size() <= 64; mask.resize(mask.size() * 2)) {
    const size_t bytes = mask.size() * sizeof(cpu_set_t);
    if (::sched_getaffinity(0, bytes, mask.data()) == 0) return CPU_COUNT_S(bytes, mask.data());
    if (errno != EINVAL) break;
  }
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

std::optional<int> CpuQuota(const std::string& root) {
  std::optional<int64_t> smallest;
  for (const CgroupFolder& group : CgroupFolders("cpu", root)) {
    const std::optional<int64_t> cpus = ReadCpus(group);
    if (cpus) smallest = std::min(*cpus, smallest.value_or(INT_MAX));
  }
  if (!smallest) return std::nullopt;
  return static_cast<int>(*smallest);
}

int AvailableCpus(const std::string& root) {
  return std::max(1, std::min(AffinityCpus(), CpuQuota(root).value_or(INT_MAX)));
}

int64_t AvailableMemoryBytes(const std::string& root) {
  int64_t smallest = std::min(ReadMemAvailable(root), ReadAddressSpace(root));
  for (const CgroupFolder& group : CgroupFolders("memory", root)) {
    smallest = std::min(smallest, ReadMemory(group));
  }
  return std::max<int64_t>(0, smallest);
}

}  // namespace kandinsky
