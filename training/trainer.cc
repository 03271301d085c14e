#include "training/trainer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/device/exception_translation.h"
#include "training/autocast.h"
#include "training/learning_rate.h"

namespace kandinsky::training {
namespace {

// What the random numbers of a training are for; each has seeds of its own.
enum RandomStream : uint64_t { kDataStream = 1, kStepStream = 2, kAdapterStream = 3 };

}  // namespace

Trainer::Trainer(const TrainingOptions& options, TrainingTask& task, Clock& clock)
    : options_(options),
      task_(task),
      clock_(clock),
      order_(task.sample_count(), MixSeed(options.seed, kDataStream, 0)) {}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Make(const TrainingOptions& options, TrainingTask& task,
                                                       Clock& clock) {
  std::unique_ptr<Trainer> trainer(new Trainer(options, task, clock));
  RETURN_IF_ERROR(TranslateExceptions("preparation", [&] { return trainer->Prepare(); }));
  return trainer;
}

absl::Status Trainer::Prepare() {
  torch::nn::Module& network = task_.network();
  if (options_.lora.has_value()) {
    ASSIGN_OR_RETURN(
        adapters_, LoraAdapters::Attach(network, *options_.lora, MixSeed(options_.seed, kAdapterStream, 0)));
    parameters_ = adapters_->parameters();
  } else {
    for (const auto& parameter : network.named_parameters()) {
      parameter.value().requires_grad_();  // the prior's statistics get no gradient and stay as they are
      parameters_.emplace_back(parameter.key(), parameter.value());
    }
  }
  optimizer_ = MakeOptimizer(options_.optimizer, parameters_);
  if (options_.ema.has_value()) {
    average_ = std::make_unique<ParameterAverage>(parameters_, options_.ema->decay);
  }
  layout_ = {.network_folder = task_.network_folder(),
             .config_text = task_.files().config.json.dump(2) + "\n",
             .adapters = options_.lora,
             .run_identity = options_.run_identity};
  state_.weights = parameters_;
  state_.optimizer = optimizer_->State();
  if (average_ != nullptr) state_.average = average_->State();
  ASSIGN_OR_RETURN(const std::string checkpoint,
                   CheckpointToResume(options_.output_folder, options_.checkpoints.resume));
  if (checkpoint.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(ReadCheckpoint(checkpoint, layout_, state_));
  written_steps_ = state_.finished_steps;
  return absl::OkStatus();
}

absl::Status Trainer::Run(TrainingObserver& observer, const std::atomic<bool>& stop) {
  while (state_.finished_steps < options_.max_steps) {
    if (stop) break;
    ASSIGN_OR_RETURN(const StepReport report, TranslateExceptions("training step", [&] { return Step(); }));
    RETURN_IF_ERROR(observer.OnStep(report));
    RETURN_IF_ERROR(AfterStep(observer, report));
  }
  if (written_steps_ == state_.finished_steps) return absl::OkStatus();
  return TranslateExceptions("checkpoint", [&] { return WriteState(observer); });
}

absl::Status Trainer::AfterStep(TrainingObserver& observer, const StepReport& report) {
  const auto due = [&](int64_t every) {
    return report.step == options_.max_steps || (every > 0 && report.step % every == 0);
  };
  if (due(options_.checkpoints.every_steps)) {
    RETURN_IF_ERROR(TranslateExceptions("checkpoint", [&] { return WriteState(observer); }));
  }
  if (options_.validation.prompts.empty() || !due(options_.validation.every_steps)) return absl::OkStatus();
  return WithFinalWeights([&](torch::nn::Module& network, const NamedTensors&) {
    return observer.OnValidation(report.step, network);
  });
}

absl::Status Trainer::WriteState(TrainingObserver& observer) {
  const std::string folder = CheckpointFolder(options_.output_folder, state_.finished_steps);
  RETURN_IF_ERROR(WriteCheckpoint(folder, layout_, state_));
  written_steps_ = state_.finished_steps;
  RemoveOldCheckpoints(options_.output_folder, options_.checkpoints.keep);
  return observer.OnCheckpoint(folder);
}

absl::StatusOr<StepReport> Trainer::Step() {
  const absl::Time start = clock_.Now();
  StepReport report;
  report.max_steps = options_.max_steps;
  report.samples = int64_t{options_.batch_size} * options_.accumulation_steps;
  report.loss = AccumulateGradients();
  report.gradient_norm = ClipGradients(parameters_, options_.optimizer.max_gradient_norm);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    return absl::InternalError(
        absl::StrCat("the loss or its gradient is not finite in step ", state_.finished_steps + 1,
                     ": lower optimizer.learning_rate, or go on from an earlier checkpoint"));
  }
  report.learning_rate = options_.optimizer.learning_rate *
                         LearningRateFactor(options_.schedule, state_.finished_steps, options_.max_steps);
  optimizer_->Step(report.learning_rate);
  for (const auto& [name, parameter] : parameters_) torch::Tensor(parameter).mutable_grad().reset();
  report.step = ++state_.finished_steps;
  if (average_ != nullptr) average_->Update(report.step);
  report.duration = clock_.Now() - start;
  return report;
}

double Trainer::AccumulateGradients() {
  double sum = 0;
  for (int i = 0; i < options_.accumulation_steps; ++i) {
    const int64_t batch = state_.finished_steps * options_.accumulation_steps + i;
    at::Generator random =
        at::detail::createCPUGenerator(MixSeed(options_.seed, kStepStream, static_cast<uint64_t>(batch)));
    torch::Tensor loss;
    {
      if (adapters_.has_value()) adapters_->Apply();
      const Autocast autocast(options_.precision);
      loss = task_.Loss(SamplesOf(batch), random);
    }
    (loss / options_.accumulation_steps).backward();
    if (adapters_.has_value()) adapters_->Remove();
    sum += loss.item<double>();
  }
  return sum / options_.accumulation_steps;
}

std::vector<int64_t> Trainer::SamplesOf(int64_t batch) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < options_.batch_size; ++i) {
    samples.push_back(order_.At(batch * options_.batch_size + i));
  }
  return samples;
}

absl::Status Trainer::WithFinalWeights(const Use& use) {
  return TranslateExceptions("use of the weights", [&] {
    if (average_ != nullptr) average_->Swap();
    const absl::Cleanup swap_back = [&] {
      if (average_ != nullptr) average_->Swap();
    };
    if (adapters_.has_value()) adapters_->Merge();
    const absl::Cleanup unmerge = [&] {
      if (adapters_.has_value()) adapters_->Unmerge();
    };
    return use(task_.network(), adapters_.has_value() ? adapters_->parameters() : NamedTensors());
  });
}

}  // namespace kandinsky::training
