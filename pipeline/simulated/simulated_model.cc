#include "pipeline/simulated/simulated_model.h"

#include <utility>

#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/request_rules.h"
#include "pipeline/simulated/simulated_pipeline.h"
#include "pipeline/simulated/simulated_results.h"

namespace kandinsky {

SimulatedModel::SimulatedModel(const SimulatedOptions& options, Clock& clock)
    : options_(options),
      capabilities_(
          {.model_name = options.model_name,
           .family = "simulated",
           .networks = {kDecoderNetwork, kInpaintNetwork, kDepthNetwork},
           .device = options.device,
           .dtype = "none",
           .samplers = {SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kDdpmLearnedRange,
                        SamplerKind::kEuler, SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep},
           .adapters = options.adapters,
           .text_windows = {{.network = kTextEncoder, .tokens = kSimulatedTextWindow}}}),
      clock_(clock) {}

std::vector<Violation> SimulatedModel::Check(const GenerationRequest& request,
                                             const RequestLimits& limits) const {
  return CheckRequest(capabilities_, request, limits);
}

Plan SimulatedModel::PlanOf(const GenerationRequest& request) const {
  return PlanRequest(
      request, {.latent_scale = capabilities_.latent_scale,
                .memory = {.denoise = kSimulatedBytesPerLatentPixel, .decode = kSimulatedBytesPerLatentPixel},
                .adapters = {.prior = request.adapter, .denoiser = request.adapter}});
}

absl::StatusOr<std::unique_ptr<Pipeline>> SimulatedModel::MakePipeline(const std::string&) const {
  return std::make_unique<SimulatedPipeline>(options_, capabilities_, clock_);
}

LoadedModel LoadSimulated(const SimulatedOptions& options, const std::vector<std::string>& devices,
                          int workers_per_device, Clock& clock) {
  SimulatedOptions named = options;
  if (!devices.empty()) named.device = devices.front();
  LoadedModel loaded = {.model = std::make_shared<SimulatedModel>(named, clock), .devices = {}};
  for (const std::string& device : devices) {
    loaded.devices.insert(loaded.devices.end(), static_cast<size_t>(workers_per_device), device);
  }
  return loaded;
}

}  // namespace kandinsky
