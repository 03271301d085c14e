#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "base/logging.h"
#include "base/status_macros.h"
#include "pipeline/kandinsky/kandinsky_model.h"
#include "pipeline/kandinsky/kandinsky_pipeline.h"

namespace kandinsky {
namespace {

// CPUs that cpu.max in one cgroup folder allows, rounded up; 0 when there is no limit or no file.
int CpuLimitOf(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota_text;
  std::string period_text;
  double quota = 0;
  double period = 0;
  if (!(file >> quota_text >> period_text) || !absl::SimpleAtod(quota_text, &quota) ||
      !absl::SimpleAtod(period_text, &period) || quota <= 0 || period <= 0) {
    return 0;
  }
  return static_cast<int>(std::ceil(quota / period));
}

// The smallest limit of the process's cgroup (version 2) and its parents; 0 when there is none.
int CgroupCpuLimit() {
  std::ifstream file("/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) path = line.substr(3);
  }
  int smallest = 0;
  while (true) {
    const int limit = CpuLimitOf("/sys/fs/cgroup" + path);
    if (limit > 0) smallest = smallest == 0 ? limit : std::min(smallest, limit);
    if (path.empty()) return smallest;
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

// libtorch writes warnings to standard error itself, and would wait for whoever reads it.
class WarningsToLog : public c10::WarningHandler {
 public:
  // For the calling thread.
  static void Use() {
    static WarningsToLog* const handler = new WarningsToLog;
    c10::WarningUtils::set_warning_handler(handler);
  }
  void process(const c10::Warning& warning) override {
    Log(LogLevel::kWarning, "libtorch warns", {{"warning", warning.msg()}});
  }
};

}  // namespace

int AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = 1;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  const int limit = CgroupCpuLimit();
  return limit > 0 ? std::min(cpus, limit) : cpus;
}

absl::StatusOr<std::vector<PipelineFactory>> LoadKandinsky(const PipelineOptions& options, int replicas) {
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, AvailableCpus() / std::max(1, replicas));
  WarningsToLog::Use();
  at::set_num_threads(threads);  // loading converts and runs networks too
  ASSIGN_OR_RETURN(const std::shared_ptr<const KandinskyModel> model, LoadKandinskyModel(options));
  const PipelineFactory factory = [model, threads]() -> absl::StatusOr<std::unique_ptr<Pipeline>> {
    WarningsToLog::Use();
    return std::make_unique<KandinskyPipeline>(model, threads);
  };
  return std::vector<PipelineFactory>(static_cast<size_t>(std::max(0, replicas)), factory);
}

}  // namespace kandinsky
