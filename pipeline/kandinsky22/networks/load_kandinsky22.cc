#include "pipeline/kandinsky22/networks/load_kandinsky22.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/process_resources.h"
#include "base/status_macros.h"
#include "pipeline/device/torch_warnings.h"
#include "pipeline/kandinsky22/networks/load_networks.h"

namespace kandinsky {

absl::StatusOr<LoadedModel> LoadKandinsky(const PipelineOptions& options, int replicas) {
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, AvailableCpus() / std::max(1, replicas));
  SendTorchWarningsToLog();
  at::set_num_threads(threads);  // loading converts and runs networks too
  ASSIGN_OR_RETURN(std::shared_ptr<const DiffusionModel> parts, LoadNetworks(options));
  std::vector<std::string> devices(static_cast<size_t>(std::max(0, replicas)),
                                   parts->placement.device_name());
  return LoadedModel{.model = MakeModel(std::move(parts), threads), .devices = std::move(devices)};
}

}  // namespace kandinsky
