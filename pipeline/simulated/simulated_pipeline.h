#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "pipeline/pipeline.h"
#include "pipeline/simulated/step_times.h"

namespace kandinsky {

// How a simulated pipeline behaves.
struct SimulatedOptions {
  std::string model_name = {};             // as clients address it
  std::vector<std::string> adapters = {};  // names that requests may choose; they change nothing but batches
  SimulatedStepTimes times = {};
  // Steps with more latent pixels than this (sum of StepCost::latent_pixels) run out of memory; 0: none does.
  int64_t out_of_memory_above_latent_pixels = 0;
  int fail_every_steps = 0;  // every n-th step of a pipeline fails with INTERNAL; 0: none does
  int lose_every_steps = 0;  // the n-th step of a pipeline loses it (UNAVAILABLE); 0: none does
};

// A Pipeline without networks for every task: the stages, batch keys and costs of a real one, steps that last
// as long as SimulatedStepTime says, coloured pictures of the requested size that follow from the seed alone,
// and embeddings and latents of the right shape (SimulatedResult). For load tests and set-ups without a GPU.
class SimulatedPipeline : public Pipeline {
 public:
  // `device` is a name to report. `clock` outlives the pipeline.
  SimulatedPipeline(const SimulatedOptions& options, const std::string& device, Clock& clock);

  const Capabilities& capabilities() const override { return capabilities_; }

  // INVALID_ARGUMENT: a width or height that is no positive multiple of 64, an adapter that is not offered.
  // UNAVAILABLE: the pipeline is lost.
  absl::StatusOr<std::unique_ptr<Generation>> Admit(const GenerationRequest& request) override;

  // Waits for the step's time. A step that runs out of memory does so at once; an injected failure comes
  // after the time.
  absl::Status Step(absl::Span<Generation* const> batch) override;

 private:
  // Whether this step is an n-th one.
  bool IsEvery(int n) const { return n > 0 && steps_ % n == 0; }

  const SimulatedOptions options_;
  const Capabilities capabilities_;
  Clock& clock_;
  int64_t steps_ = 0;  // begun so far
  bool lost_ = false;
  Mutex mutex_;  // for the wait alone; nobody notifies
  ConditionVariable never_;
};

// One factory per worker: `workers_per_device` >= 1 of them for each of `devices`, those of a device next to
// each other. Each may be called again and again. `clock` outlives all pipelines.
std::vector<PipelineFactory> LoadSimulated(const SimulatedOptions& options,
                                           const std::vector<std::string>& devices, int workers_per_device,
                                           Clock& clock);

}  // namespace kandinsky
