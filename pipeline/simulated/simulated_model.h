#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "pipeline/model.h"
#include "pipeline/simulated/step_times.h"

namespace kandinsky {

// How a simulated model behaves.
struct SimulatedOptions {
  std::string model_name = {};             // as clients address it
  std::string device = "simulated";        // to report
  std::vector<std::string> adapters = {};  // names that requests may choose; they change nothing but batches
  SimulatedStepTimes times = {};
  // Steps with more latent pixels than this (sum of StepCost::latent_pixels) run out of memory; 0: none does.
  int64_t out_of_memory_above_latent_pixels = 0;
  int fail_every_steps = 0;  // every n-th step of a pipeline fails with INTERNAL; 0: none does
  int lose_every_steps = 0;  // the n-th step of a pipeline loses it (UNAVAILABLE); 0: none does
};

// What a step of a simulated sample is said to need beside the weights, for each latent pixel of it.
constexpr int64_t kSimulatedBytesPerLatentPixel = 16384;

// A model without networks for every task of Kandinsky 2.2: its plans and costs, steps that last as long as
// SimulatedStepTime says, colored images of the requested size that follow from the seed alone, and
// embeddings and latents of the right shape (SimulatedResult). For load tests and set-ups without a GPU.
class SimulatedModel final : public Model {
 public:
  // `clock` outlives the model and its pipelines.
  SimulatedModel(const SimulatedOptions& options, Clock& clock);

  const Capabilities& capabilities() const override { return capabilities_; }
  std::vector<Violation> Check(const GenerationRequest& request, const RequestLimits& limits) const override;
  Plan PlanOf(const GenerationRequest& request) const override;
  // Any name is a device.
  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string& device) const override;

 private:
  const SimulatedOptions options_;
  const Capabilities capabilities_;
  Clock& clock_;
};

// A model with `workers_per_device` >= 1 workers on each of `devices`, those of a device next to each other.
LoadedModel LoadSimulated(const SimulatedOptions& options, const std::vector<std::string>& devices,
                          int workers_per_device, Clock& clock);

}  // namespace kandinsky
