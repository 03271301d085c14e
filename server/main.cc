#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/logging.h"
#include "base/standard_descriptors.h"
#include "pipeline/simulated/simulated_model.h"
#include "server/command_line.h"
#include "server/run_server.h"
#ifdef KANDINSKY_WITH_TORCH
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#endif

namespace kandinsky::server {
namespace {

std::vector<std::string> AdapterNames(const v1::ModelConfig& model) {
  std::vector<std::string> names;
  for (const v1::AdapterConfig& adapter : model.adapters()) names.push_back(adapter.name());
  return names;
}

SimulatedOptions ToOptions(const v1::ModelConfig& model) {
  const v1::SimulatedConfig& simulated = model.simulated();
  return {.model_name = model.name(),
          .adapters = AdapterNames(model),
          .times = {.encode_ms = simulated.encode_ms(),
                    .encode_row_ms = simulated.encode_row_ms(),
                    .prior_ms = simulated.prior_ms(),
                    .prior_row_ms = simulated.prior_row_ms(),
                    .denoise_ms = simulated.denoise_ms(),
                    .denoise_row_ms = simulated.denoise_row_ms(),
                    .decode_ms = simulated.decode_ms(),
                    .decode_row_ms = simulated.decode_row_ms()},
          .out_of_memory_above_latent_pixels = simulated.out_of_memory_above_latent_pixels(),
          .fail_every_steps = simulated.fail_every_steps(),
          .lose_every_steps = simulated.lose_every_steps()};
}

// Blocks while weights are read.
absl::StatusOr<LoadedModel> LoadModel(const v1::ServerConfig& config) {
  const v1::ModelConfig& model = config.model();
  if (model.kind() == v1::MODEL_KIND_SIMULATED) {
    Log(LogLevel::kWarning, "simulated model: images are noise");
    return LoadSimulated(ToOptions(model), {model.devices().begin(), model.devices().end()}, config.workers(),
                         Clock::Real());
  }
#ifdef KANDINSKY_WITH_TORCH
  std::vector<AdapterOptions> adapters;
  for (const v1::AdapterConfig& adapter : model.adapters()) {
    adapters.push_back({.name = adapter.name(),
                        .unet_lora_path = adapter.unet_lora_path(),
                        .prior_lora_path = adapter.prior_lora_path(),
                        .scale = adapter.scale()});
  }
  return LoadKandinsky({.model_name = model.name(),
                        .model_path = model.path(),
                        .prior_path = model.prior_path(),
                        .network_paths = {model.network_paths().begin(), model.network_paths().end()},
                        .keep_image_encoder = model.image_encoder(),
                        .unet_lora_path = model.unet_lora_path(),
                        .prior_lora_path = model.prior_lora_path(),
                        .lora_scale = model.lora_scale(),
                        .adapters = std::move(adapters),
                        .threads = model.threads()},
                       config.workers());
#else
  return absl::UnimplementedError("this build has no MODEL_KIND_KANDINSKY, only MODEL_KIND_SIMULATED");
#endif
}

}  // namespace
}  // namespace kandinsky::server

int main(int argc, char** argv) {
  kandinsky::OpenStandardDescriptors();
  const kandinsky::server::CommandLine command_line = kandinsky::server::ParseCommandLine(argc, argv);
  if (!command_line.config.has_value()) return command_line.exit_code;
  const kandinsky::v1::ServerConfig& config = *command_line.config;
  return kandinsky::server::RunServer(config, [&config] { return kandinsky::server::LoadModel(config); });
}
