#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "pipeline/model.h"

namespace kandinsky {

// One sample in a step of a FakePipeline.
struct FakeStepMember {
  std::string prompt;
  uint64_t seed = 0;
  int step = 0;  // steps of the stage that it had finished before
};

// One call of FakePipeline::Step, also a failing one.
struct FakeStep {
  BatchKey key;
  std::vector<FakeStepMember> members;
  bool failed = false;
};

// What FakePipelines did; outlives them. Thread-safe.
class FakePipelineLog {
 public:
  std::vector<FakeStep> steps() const EXCLUDES(mutex_);
  // Steps of one prompt's samples.
  int StepsOf(const std::string& prompt) const EXCLUDES(mutex_);
  int admitted() const EXCLUDES(mutex_);
  // What Admit was given, in order.
  std::vector<GenerationRequest> requests() const EXCLUDES(mutex_);
  // Generations that were admitted and not destroyed.
  int live_generations() const EXCLUDES(mutex_);

  // For FakePipeline.
  void AddStep(FakeStep step) EXCLUDES(mutex_);
  void AddGeneration(const GenerationRequest& request) EXCLUDES(mutex_);
  void RemoveGeneration() EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  std::vector<FakeStep> steps_ GUARDED_BY(mutex_);
  std::vector<GenerationRequest> requests_ GUARDED_BY(mutex_);
  int live_generations_ GUARDED_BY(mutex_) = 0;
};

// A failure of the step in which a sample of `prompt` does its step number `step` (from 0) of `stage`.
struct ScriptedFailure {
  // kLost: the pipeline is lost. kForeign is a code that no step may return.
  enum class Kind { kInternal, kOutOfMemory, kThrow, kLost, kForeign };

  std::string prompt;
  Stage stage = Stage::kDenoise;
  int step = 0;
  Kind kind = Kind::kInternal;
};

// How a FakePipeline behaves.
struct FakePipelineOptions {
  Capabilities capabilities = {.model_name = "fake",
                               .family = "2.2",
                               .networks = {"decoder"},
                               .device = "cpu",
                               .dtype = "float32",
                               .samplers = {SamplerKind::kDdpm, SamplerKind::kDdim},
                               .adapters = {}};
  // Edge of the square RGB results in pixels; 0 makes them as large as requested.
  int image_edge = 8;
  // Steps with more samples than this run out of memory.
  std::optional<int> out_of_memory_above_rows;
  // Steps for which this returns true run out of memory; null: none.
  std::function<bool(const FakeStep&)> out_of_memory_when;
  std::vector<ScriptedFailure> failures;
  // StepCost::memory_bytes of every step.
  int64_t memory_bytes = 0;
  // Prompts that Admit refuses with INVALID_ARGUMENT, and with an exception.
  std::vector<std::string> refused_prompts;
  std::vector<std::string> throwing_prompts;
  // Prompts whose TakeResult fails with INTERNAL.
  std::vector<std::string> prompts_without_result;
  // Called in each Step before anything else, on the caller's thread. May block.
  std::function<void(const FakeStep&)> on_step;
  // Called in each MakePipeline with the number of earlier calls; its error is what that returns. May throw.
  std::function<absl::Status(int)> on_make;
};

// A Pipeline without networks: goes through the stages of every task and makes small images whose pixels
// follow from the seed alone; other results are those of SimulatedResult, but for the latents of images, all
// of whose values are the seed modulo 1000. Steps cost nothing but what `on_step` does. Admit checks
// no rule.
class FakePipeline : public Pipeline {
 public:
  // `log` may be null: then nothing is recorded, which long benchmarks want.
  explicit FakePipeline(FakePipelineOptions options = {}, std::shared_ptr<FakePipelineLog> log = nullptr);

  absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest& request,
                                                std::shared_ptr<const Plan> plan) override;
  absl::Status Step(absl::Span<Sample* const> batch) override;

  // The image of `seed`.
  static Image ExpectedImage(uint64_t seed, int width, int height);

 private:
  absl::Status InjectedFailure(const FakeStep& step) const;

  const FakePipelineOptions options_;
  const std::shared_ptr<FakePipelineLog> log_;
};

// The model of FakePipelines: rules and plans are those of Kandinsky 2.2.
class FakeModel : public Model {
 public:
  // `log` as FakePipeline's.
  explicit FakeModel(FakePipelineOptions options = {}, std::shared_ptr<FakePipelineLog> log = nullptr)
      : options_(std::move(options)), log_(std::move(log)) {}

  const Capabilities& capabilities() const override { return options_.capabilities; }
  std::vector<Violation> Check(const GenerationRequest& request, const RequestLimits& limits) const override;
  Plan PlanOf(const GenerationRequest& request) const override;
  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string& device) const override;

 private:
  const FakePipelineOptions options_;
  const std::shared_ptr<FakePipelineLog> log_;
  mutable std::atomic<int> made_ = 0;
};

FakeModel ModelWith(const Capabilities& capabilities);

// A FakeModel on `workers` workers.
LoadedModel LoadFake(FakePipelineOptions options = {}, std::shared_ptr<FakePipelineLog> log = nullptr,
                     int workers = 1);

}  // namespace kandinsky
