// Steps of eight images through the engine with a pipeline that computes nothing, so that what is left is the
// scheduler. Counted by callgrind: the difference between two runs, divided by the difference of their steps,
// is the scheduler's cost of a step.
//
// Usage: scheduler_step --steps 1000
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "scheduler/engine.h"

namespace kandinsky {
namespace {

constexpr int kRows = 8;

class NullGeneration final : public Sample {
 public:
  using Sample::Sample;
  const std::vector<PromptTokens>& prompt_tokens() const override { return tokens_; }
  absl::StatusOr<GenerationResult> TakeResult() override { return GenerationResult(); }
  void Advance() { cursor_.Advance(); }

 private:
  std::vector<PromptTokens> tokens_;
};

class NullPipeline final : public Pipeline {
 public:
  absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest&,
                                                std::shared_ptr<const Plan> plan) override {
    return std::make_unique<NullGeneration>(std::move(plan));
  }
  absl::Status Step(absl::Span<Sample* const> batch) override {
    for (Sample* sample : batch) static_cast<NullGeneration*>(sample)->Advance();
    return absl::OkStatus();
  }
};

class NullModel final : public Model {
 public:
  const Capabilities& capabilities() const override { return capabilities_; }
  std::vector<Violation> Check(const GenerationRequest&, const RequestLimits&) const override { return {}; }
  Plan PlanOf(const GenerationRequest& request) const override {
    const BatchKey key = {
        .stage = Stage::kDenoise, .network = "unet", .latent_height = 64, .latent_width = 64};
    return {{{.key = key, .steps = request.steps, .cost = {.latent_pixels = int64_t{64} * 64}}}};
  }
  absl::StatusOr<std::unique_ptr<Pipeline>> MakePipeline(const std::string&) const override {
    return std::make_unique<NullPipeline>();
  }

 private:
  Capabilities capabilities_;
};

class EndObserver final : public GenerationObserver {
 public:
  void OnQueued(const QueueStatus&) override {}
  void OnStarted(const StartedInfo&) override {}
  void OnProgress(const ProgressUpdate&) override {}
  void OnPreview(PreviewImage) override {}
  void OnImage(FinishedImage) override {}
  void OnFinished(const absl::Status&, const GenerationStatistics& statistics) override {
    MutexLock lock(mutex_);
    steps_ = statistics.steps;
    ended_.NotifyAll();
  }

  int WaitForSteps() {
    MutexLock lock(mutex_);
    while (steps_ < 0) ended_.Wait(mutex_);
    return steps_;
  }

 private:
  Mutex mutex_;
  ConditionVariable ended_;
  int steps_ GUARDED_BY(mutex_) = -1;
};

int Main(int argc, char** argv) {
  CLI::App app("The scheduler's own cost of a step");
  int steps = 1000;
  app.add_option("--steps", steps, "Batched steps")->check(CLI::Range(1, 10000000));
  CLI11_PARSE(app, argc, argv);
  Engine engine({}, {.model = std::make_shared<NullModel>(), .devices = {"cpu"}}, Clock::Real());
  if (!engine.WaitUntilReady().ok()) return 1;
  GenerationRequest image;
  image.steps = steps;
  const auto observer = std::make_shared<EndObserver>();
  const EngineRequest request = {.images = std::vector<GenerationRequest>(kRows, image)};
  if (!engine.Submit(request, observer).status.ok()) return 1;
  std::printf("{\"steps\": %d}\n", observer->WaitForSteps());
  return 0;
}

}  // namespace
}  // namespace kandinsky

int main(int argc, char** argv) {
  try {
    return kandinsky::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}
