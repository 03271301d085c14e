#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "pipeline/pipeline.h"
#include "pipeline/simulated/simulated_model.h"

namespace kandinsky {

// The pipeline of a SimulatedModel.
class SimulatedPipeline final : public Pipeline {
 public:
  // `clock` outlives the pipeline.
  SimulatedPipeline(const SimulatedOptions& options, const Capabilities& capabilities, Clock& clock)
      : options_(options), capabilities_(capabilities), clock_(clock) {}

  // INVALID_ARGUMENT as SimulatedModel::Check. UNAVAILABLE: the pipeline is lost.
  absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest& request,
                                                std::shared_ptr<const Plan> plan) override;

  // Waits for the step's time. A step that runs out of memory does so at once; an injected failure comes
  // after the time.
  absl::Status Step(absl::Span<Sample* const> batch) override;

 private:
  // Whether this step is an n-th one.
  bool IsEvery(int n) const { return n > 0 && steps_ % n == 0; }

  const SimulatedOptions options_;
  const Capabilities capabilities_;
  Clock& clock_;
  int64_t steps_ = 0;  // started so far
  bool lost_ = false;
  Mutex mutex_;  // for the wait alone; nobody notifies
  ConditionVariable never_;
};

}  // namespace kandinsky
