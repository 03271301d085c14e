#include "server/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "base/logging.h"
#include "server/metric_families.h"

namespace kandinsky::server {
namespace {

// The fields of /proc/self/stat that follow the command name, which is in parentheses and may hold anything.
struct ProcStat {
  double cpu_seconds = 0;
  double threads = 0;
  double start_seconds = 0;  // after boot
  double resident_bytes = 0;
};

std::optional<ProcStat> ReadProcStat() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  // Field 3 (the state) is fields[0]; the numbers are those of proc(5).
  const auto field = [&](size_t number) { return std::strtod(fields[number - 3].c_str(), nullptr); };
  if (fields.size() < 22) return std::nullopt;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return ProcStat{.cpu_seconds = (field(14) + field(15)) / ticks,
                  .threads = field(20),
                  .start_seconds = field(22) / ticks,
                  .resident_bytes = field(24) * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

std::optional<double> ReadBootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    if (word != "btime") continue;
    double seconds = 0;
    if (file >> seconds) return seconds;
  }
  return std::nullopt;
}

std::optional<double> CountOpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return std::nullopt;
  // The iterator's own descriptor is among them.
  return static_cast<double>(std::distance(begin(files), end(files))) - 1;
}

}  // namespace

std::vector<prometheus::MetricFamily> CollectProcessMetrics() {
  std::vector<prometheus::MetricFamily> families;
  if (const auto stat = ReadProcStat()) {
    families.push_back(
        SimpleCounter("process_cpu_seconds_total", "User and system CPU time", stat->cpu_seconds));
    families.push_back(SimpleGauge("process_resident_memory_bytes", "Resident memory", stat->resident_bytes));
    families.push_back(SimpleGauge("process_threads", "Threads", stat->threads));
    if (const auto boot = ReadBootTime()) {
      families.push_back(SimpleGauge("process_start_time_seconds", "Start time since the Unix epoch",
                                     *boot + stat->start_seconds));
    }
  }
  if (const auto open = CountOpenFiles()) {
    families.push_back(SimpleGauge("process_open_fds", "Open file descriptors", *open));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(
        SimpleGauge("process_max_fds", "Allowed file descriptors", static_cast<double>(limit.rlim_cur)));
  }
  families.push_back(SimpleCounter("kandinsky_log_lines_lost_total",
                                   "Log lines that could be neither kept nor written",
                                   static_cast<double>(LostLogLines())));
  return families;
}

}  // namespace kandinsky::server
