#include "tests/fakes/fake_pipeline.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/request_rules.h"
#include "pipeline/simulated/simulated_results.h"

namespace kandinsky {
namespace {

// SplitMix64's output function: spreads a counter over all bits.
uint64_t Scramble(uint64_t value) {
  value += 0x9E3779B97F4A7C15ull;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ull;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBull;
  return value ^ (value >> 31);
}

bool Contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

class FakeSample : public Sample {
 public:
  FakeSample(GenerationRequest request, std::shared_ptr<const Plan> plan, const FakePipelineOptions& options,
             std::shared_ptr<FakePipelineLog> log)
      : Sample(std::move(plan)),
        request_(std::move(request)),
        image_edge_(options.image_edge),
        embedding_dim_(options.capabilities.embedding_dim),
        has_result_(!Contains(options.prompts_without_result, request_.prompt)),
        prompt_tokens_(SimulatedPromptTokens(request_)),
        log_(std::move(log)) {
    if (log_ != nullptr) log_->AddGeneration(request_);
  }

  ~FakeSample() override {
    if (log_ != nullptr) log_->RemoveGeneration();
  }

  const std::vector<PromptTokens>& prompt_tokens() const override { return prompt_tokens_; }

  std::optional<Image> Preview() const override {
    if (stage() != Stage::kDenoise) return std::nullopt;
    return FakePipeline::ExpectedImage(request_.seed + static_cast<uint64_t>(progress().step), 4, 4);
  }

  absl::StatusOr<GenerationResult> TakeResult() override {
    if (!has_result_) return absl::InternalError("the latents are not finite");
    GenerationResult result = SimulatedResult(request_, embedding_dim_);
    if (cursor_.plan().StepsOf(Stage::kDecode) > 0 && request_.output.image) {
      result.image =
          FakePipeline::ExpectedImage(request_.seed, image_edge_ > 0 ? image_edge_ : request_.width,
                                      image_edge_ > 0 ? image_edge_ : request_.height);
    }
    if (result.latents.has_value() && MakesImage(request_.task)) {
      std::fill(result.latents->values.begin(), result.latents->values.end(),
                static_cast<float>(request_.seed % 1000));
    }
    return result;
  }

  FakeStepMember Describe() const { return {request_.prompt, request_.seed, progress().step}; }

  void Advance() { cursor_.Advance(); }

 private:
  const GenerationRequest request_;
  const int image_edge_;
  const int embedding_dim_;
  const bool has_result_;
  const std::vector<PromptTokens> prompt_tokens_;
  const std::shared_ptr<FakePipelineLog> log_;
};

}  // namespace

std::vector<FakeStep> FakePipelineLog::steps() const {
  MutexLock lock(mutex_);
  return steps_;
}

int FakePipelineLog::StepsOf(const std::string& prompt) const {
  MutexLock lock(mutex_);
  int count = 0;
  for (const FakeStep& step : steps_) {
    for (const FakeStepMember& member : step.members) count += member.prompt == prompt ? 1 : 0;
  }
  return count;
}

int FakePipelineLog::admitted() const {
  MutexLock lock(mutex_);
  return static_cast<int>(requests_.size());
}

std::vector<GenerationRequest> FakePipelineLog::requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

int FakePipelineLog::live_generations() const {
  MutexLock lock(mutex_);
  return live_generations_;
}

void FakePipelineLog::AddStep(FakeStep step) {
  MutexLock lock(mutex_);
  steps_.push_back(std::move(step));
}

void FakePipelineLog::AddGeneration(const GenerationRequest& request) {
  MutexLock lock(mutex_);
  requests_.push_back(request);
  ++live_generations_;
}

void FakePipelineLog::RemoveGeneration() {
  MutexLock lock(mutex_);
  --live_generations_;
}

FakePipeline::FakePipeline(FakePipelineOptions options, std::shared_ptr<FakePipelineLog> log)
    : options_(std::move(options)), log_(std::move(log)) {}

absl::StatusOr<std::unique_ptr<Sample>> FakePipeline::Admit(const GenerationRequest& request,
                                                            std::shared_ptr<const Plan> plan) {
  if (Contains(options_.refused_prompts, request.prompt)) {
    return absl::InvalidArgumentError("the model cannot serve this prompt");
  }
  if (Contains(options_.throwing_prompts, request.prompt))
    throw std::runtime_error("secret text of the exception");
  return std::make_unique<FakeSample>(request, std::move(plan), options_, log_);
}

absl::Status FakePipeline::InjectedFailure(const FakeStep& step) const {
  for (const ScriptedFailure& failure : options_.failures) {
    const bool hit = failure.stage == step.key.stage &&
                     std::any_of(step.members.begin(), step.members.end(), [&](const FakeStepMember& member) {
                       return member.prompt == failure.prompt && member.step == failure.step;
                     });
    if (!hit) continue;
    if (failure.kind == ScriptedFailure::Kind::kThrow)
      throw std::runtime_error("secret text of the exception");
    if (failure.kind == ScriptedFailure::Kind::kLost) return absl::UnavailableError("the device is lost");
    if (failure.kind == ScriptedFailure::Kind::kForeign)
      return absl::DataLossError("no code of the interface");
    if (failure.kind == ScriptedFailure::Kind::kInternal)
      return absl::InternalError("the latents are not finite");
    return absl::ResourceExhaustedError("the device ran out of memory");
  }
  if (static_cast<int>(step.members.size()) > options_.out_of_memory_above_rows.value_or(INT32_MAX) ||
      (options_.out_of_memory_when && options_.out_of_memory_when(step))) {
    return absl::ResourceExhaustedError("the device ran out of memory");
  }
  return absl::OkStatus();
}

absl::Status FakePipeline::Step(absl::Span<Sample* const> batch) {
  FakeStep step;
  step.key = batch.front()->batch_key();
  for (const Sample* sample : batch) {
    step.members.push_back(static_cast<const FakeSample*>(sample)->Describe());
  }
  if (options_.on_step) options_.on_step(step);
  step.failed = true;  // until it is known better, so that a step that throws is recorded as well
  absl::Status status;
  try {
    status = InjectedFailure(step);
  } catch (...) {
    if (log_ != nullptr) log_->AddStep(step);
    throw;
  }
  step.failed = !status.ok();
  if (log_ != nullptr) log_->AddStep(step);
  if (!status.ok()) return status;
  for (Sample* sample : batch) static_cast<FakeSample*>(sample)->Advance();
  return absl::OkStatus();
}

std::vector<Violation> FakeModel::Check(const GenerationRequest& request, const RequestLimits& limits) const {
  return CheckRequest(options_.capabilities, request, limits);
}

Plan FakeModel::PlanOf(const GenerationRequest& request) const {
  Plan plan = PlanRequest(request, {.latent_scale = options_.capabilities.latent_scale,
                                    .adapters = {.prior = request.adapter, .denoiser = request.adapter}});
  for (PlannedPhase& phase : plan.phases) phase.cost.memory_bytes = options_.memory_bytes;
  return plan;
}

absl::StatusOr<std::unique_ptr<Pipeline>> FakeModel::MakePipeline(const std::string&) const {
  const int made = made_++;
  if (options_.on_make) {
    absl::Status status = options_.on_make(made);
    if (!status.ok()) return status;
  }
  return std::make_unique<FakePipeline>(options_, log_);
}

FakeModel ModelWith(const Capabilities& capabilities) {
  FakePipelineOptions options;
  options.capabilities = capabilities;
  return FakeModel(options);
}

LoadedModel LoadFake(FakePipelineOptions options, std::shared_ptr<FakePipelineLog> log, int workers) {
  return {.model = std::make_shared<FakeModel>(std::move(options), std::move(log)),
          .devices = std::vector<std::string>(static_cast<size_t>(workers), "cpu")};
}

Image FakePipeline::ExpectedImage(uint64_t seed, int width, int height) {
  Image image;
  image.width = width;
  image.height = height;
  image.pixels.resize(image.row_bytes() * static_cast<size_t>(height));
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(Scramble(Scramble(seed) + i));
  return image;
}

}  // namespace kandinsky
