#include "pipeline/simulated/simulated_pipeline.h"

#include <utility>

#include "base/status_macros.h"
#include "pipeline/request_rules.h"
#include "pipeline/simulated/simulated_sample.h"

namespace kandinsky {

absl::StatusOr<std::unique_ptr<Sample>> SimulatedPipeline::Admit(const GenerationRequest& request,
                                                                 std::shared_ptr<const Plan> plan) {
  if (lost_) return absl::UnavailableError("the simulated device is lost");
  RETURN_IF_ERROR(ToStatus(CheckRequest(capabilities_, request, RequestLimits())));
  return std::make_unique<SimulatedSample>(request, std::move(plan), capabilities_.embedding_dim);
}

absl::Status SimulatedPipeline::Step(absl::Span<Sample* const> batch) {
  ++steps_;
  lost_ = lost_ || IsEvery(options_.lose_every_steps);
  int64_t latent_pixels = 0;
  for (const Sample* sample : batch) latent_pixels += sample->step_cost().latent_pixels;
  const int64_t limit = options_.out_of_memory_above_latent_pixels;
  if (!lost_ && limit > 0 && latent_pixels > limit) {
    return absl::ResourceExhaustedError("the simulated device ran out of memory");
  }
  const absl::Time end = clock_.Now() + SimulatedStepTime(options_.times, batch.front()->batch_key(),
                                                          static_cast<int>(batch.size()));
  const bool fails = lost_ || IsEvery(options_.fail_every_steps);
  if (!fails) {
    // Before the wait: making the images is to be part of the step's time.
    for (Sample* sample : batch) static_cast<SimulatedSample*>(sample)->Advance();
  }
  {
    MutexLock lock(mutex_);
    while (clock_.Now() < end) clock_.WaitUntil(mutex_, never_, end);
  }
  if (lost_) return absl::UnavailableError("the simulated device is lost");
  return fails ? absl::InternalError("a simulated failure") : absl::OkStatus();
}

}  // namespace kandinsky
