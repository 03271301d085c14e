#include "pipeline/simulated/simulated_pipeline.h"

#include "absl/strings/str_cat.h"
#include "pipeline/simulated/simulated_generation.h"
#include "pipeline/task_network.h"

namespace kandinsky {
namespace {

bool IsPositiveMultiple(int value, int of) { return value > 0 && value % of == 0; }

}  // namespace

SimulatedPipeline::SimulatedPipeline(const SimulatedOptions& options, const std::string& device, Clock& clock)
    : options_(options),
      capabilities_(
          {.model_name = options.model_name,
           .family = "simulated",
           .network = "any",
           .device = device,
           .dtype = "none",
           .samplers = {SamplerKind::kDdpm, SamplerKind::kDdim, SamplerKind::kDdpmLearnedRange,
                        SamplerKind::kEuler, SamplerKind::kEulerAncestral, SamplerKind::kDpmSolverMultistep},
           .adapters = options.adapters}),
      clock_(clock) {}

absl::StatusOr<std::unique_ptr<Generation>> SimulatedPipeline::Admit(const GenerationRequest& request) {
  if (lost_) return absl::UnavailableError("the simulated device is lost");
  const int multiple = capabilities_.size_multiple;
  if (!IsPositiveMultiple(request.width, multiple) || !IsPositiveMultiple(request.height, multiple)) {
    return absl::InvalidArgumentError(
        absl::StrCat("width and height must be positive multiples of ", multiple));
  }
  if (!OffersAdapter(capabilities_, request.task, request.adapter)) {
    return absl::InvalidArgumentError("adapter is not offered by the model for this task");
  }
  return std::make_unique<SimulatedGeneration>(request, capabilities_.embedding_dim);
}

absl::Status SimulatedPipeline::Step(absl::Span<Generation* const> batch) {
  ++steps_;
  lost_ = lost_ || IsEvery(options_.lose_every_steps);
  int64_t latent_pixels = 0;
  for (const Generation* generation : batch) latent_pixels += generation->step_cost().latent_pixels;
  const int64_t limit = options_.out_of_memory_above_latent_pixels;
  if (!lost_ && limit > 0 && latent_pixels > limit) {
    return absl::ResourceExhaustedError("the simulated device ran out of memory");
  }
  const absl::Time end = clock_.Now() + SimulatedStepTime(options_.times, batch.front()->batch_key(),
                                                          static_cast<int>(batch.size()));
  const bool fails = lost_ || IsEvery(options_.fail_every_steps);
  if (!fails) {
    // Before the wait: making the pictures is to be part of the step's time.
    for (Generation* generation : batch) static_cast<SimulatedGeneration*>(generation)->Advance();
  }
  {
    MutexLock lock(mutex_);
    while (clock_.Now() < end) clock_.WaitUntil(mutex_, never_, end);
  }
  if (lost_) return absl::UnavailableError("the simulated device is lost");
  return fails ? absl::InternalError("a simulated failure") : absl::OkStatus();
}

std::vector<PipelineFactory> LoadSimulated(const SimulatedOptions& options,
                                           const std::vector<std::string>& devices, int workers_per_device,
                                           Clock& clock) {
  std::vector<PipelineFactory> factories;
  for (const std::string& device : devices) {
    for (int i = 0; i < workers_per_device; ++i) {
      factories.push_back([options, device, &clock]() -> absl::StatusOr<std::unique_ptr<Pipeline>> {
        return std::make_unique<SimulatedPipeline>(options, device, clock);
      });
    }
  }
  return factories;
}

}  // namespace kandinsky
