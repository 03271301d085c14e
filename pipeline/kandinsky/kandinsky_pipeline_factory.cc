#include "pipeline/kandinsky/kandinsky_pipeline_factory.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>

#include "base/status_macros.h"
#include "pipeline/kandinsky/kandinsky_model.h"
#include "pipeline/kandinsky/kandinsky_pipeline.h"

namespace kandinsky {
namespace {

// CPUs that the cgroup (version 2) of this process may use, rounded up; 0 when there is no limit.
int CgroupCpuLimit() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return static_cast<int>((std::stod(quota) + period - 1) / period);
}

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
  ASSIGN_OR_RETURN(const std::shared_ptr<const KandinskyModel> model, LoadKandinskyModel(options));
  const int threads = options.threads > 0 ? options.threads : AvailableCpus();
  std::vector<PipelineFactory> factories;
  for (int i = 0; i < replicas; ++i) {
    factories.push_back([model, threads]() -> absl::StatusOr<std::unique_ptr<Pipeline>> {
      return std::make_unique<KandinskyPipeline>(model, threads);
    });
  }
  return factories;
}

}  // namespace kandinsky
