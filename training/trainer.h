#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "training/dataset/data_order.h"
#include "training/lora_adapters.h"
#include "training/optimizer.h"
#include "training/parameter_average.h"
#include "training/training_checkpoint.h"
#include "training/training_options.h"
#include "training/training_task.h"

namespace kandinsky::training {

// One optimizer step as it was.
struct StepReport {
  int64_t step = 0;  // from 1
  int64_t max_steps = 0;
  double loss = 0;  // mean of the step's batches
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  int64_t samples = 0;       // of the step
  absl::Duration duration;
};

// Receives what happens in a training, on its thread.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual absl::Status OnStep(const StepReport& report) = 0;
  // It is time for validation images; `network` has the weights of WithFinalWeights.
  virtual absl::Status OnValidation(int64_t step, torch::nn::Module& network) = 0;
  virtual absl::Status OnCheckpoint(const std::string& folder) = 0;
};

// The training loop. Everything that is random in a step is drawn from a generator that seed and step decide,
// and the order of the data by seed and epoch: a run that was interrupted and goes on from its checkpoint
// gives the losses of one that was not. Used by one thread.
class Trainer {
 public:
  // Prepares the optimizer and reads the checkpoint that CheckpointToResume names. `task` outlives the
  // trainer.
  static absl::StatusOr<std::unique_ptr<Trainer>> Make(const TrainingOptions& options, TrainingTask& task,
                                                       Clock& clock = Clock::Real());

  // Trains up to options.max_steps, or until `stop` is set; then the step that is running is the last and a
  // checkpoint is written. Errors: what the observer returns; UNAVAILABLE when a file cannot be written;
  // INTERNAL when the loss is not finite, naming the step; RESOURCE_EXHAUSTED when memory ran out.
  absl::Status Run(TrainingObserver& observer, const std::atomic<bool>& stop);

  int64_t finished_steps() const { return state_.finished_steps; }
  // Numbers that are learned: those of the network, or of its adapters.
  int64_t trained_parameters() const { return CountNumbers(parameters_); }

  // Runs `use` while the network has the weights that a user would get: the average's when there is one, and
  // with adapters merged. `adapters` are their factors, empty without adapters.
  using Use = std::function<absl::Status(torch::nn::Module& network, const NamedTensors& adapters)>;
  absl::Status WithFinalWeights(const Use& use);

 private:
  Trainer(const TrainingOptions& options, TrainingTask& task, Clock& clock);

  absl::Status Prepare();
  absl::StatusOr<StepReport> Step();
  double AccumulateGradients();
  std::vector<int64_t> SamplesOf(int64_t batch);
  absl::Status WriteState(TrainingObserver& observer);
  absl::Status AfterStep(TrainingObserver& observer, const StepReport& report);

  const TrainingOptions options_;
  TrainingTask& task_;
  Clock& clock_;
  DataOrder order_;
  std::optional<LoraAdapters> adapters_;
  NamedTensors parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<ParameterAverage> average_;
  CheckpointLayout layout_;
  TrainingState state_;
  int64_t written_steps_ = 0;  // finished steps of the last checkpoint
};

}  // namespace kandinsky::training
