#include "tests/fakes/fake_pipeline.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "pipeline/planned_steps.h"
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

class FakeGeneration : public Generation {
 public:
  FakeGeneration(GenerationRequest request, const FakePipelineOptions& options,
                 std::shared_ptr<FakePipelineLog> log)
      : request_(std::move(request)),
        image_edge_(options.image_edge),
        memory_bytes_(options.memory_bytes),
        embedding_dim_(options.capabilities.embedding_dim),
        latent_scale_(options.capabilities.latent_scale),
        has_result_(!Contains(options.prompts_without_result, request_.prompt)),
        steps_(PlannedSteps(request_)),
        encode_networks_(EncodeNetworks(request_)),
        prompt_tokens_(SimulatedPromptTokens(request_)),
        log_(std::move(log)) {
    if (log_ != nullptr) log_->AddGeneration(request_);
    Enter(Stage::kEncode);
  }

  ~FakeGeneration() override {
    if (log_ != nullptr) log_->RemoveGeneration();
  }

  Stage stage() const override { return progress_.stage; }
  const BatchKey& batch_key() const override { return key_; }
  StageProgress progress() const override { return progress_; }

  StepCost step_cost() const override {
    const int rows = key_.guided ? 2 : 1;
    return {.network_rows = rows,
            .latent_pixels = static_cast<int64_t>(key_.latent_height) * key_.latent_width * rows,
            .memory_bytes = memory_bytes_};
  }

  int remaining_steps() const override {
    int steps = progress_.total_steps - progress_.step;
    if (progress_.stage < Stage::kPrior) steps += StepsIn(Stage::kPrior);
    if (progress_.stage < Stage::kDenoise) steps += StepsIn(Stage::kDenoise);
    if (progress_.stage < Stage::kDecode) steps += StepsIn(Stage::kDecode);
    return steps;
  }

  const std::vector<PromptTokens>& prompt_tokens() const override { return prompt_tokens_; }

  std::optional<Image> Preview() const override {
    if (progress_.stage != Stage::kDenoise) return std::nullopt;
    return FakePipeline::ExpectedImage(request_.seed + static_cast<uint64_t>(progress_.step), 4, 4);
  }

  absl::StatusOr<GenerationResult> TakeResult() override {
    if (!has_result_) return absl::InternalError("the latents are not finite");
    GenerationResult result = SimulatedResult(request_, embedding_dim_);
    if (steps_[static_cast<size_t>(Stage::kDecode)] > 0 && request_.output.image) {
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

  FakeStepMember Describe() const { return {request_.prompt, request_.seed, progress_.step}; }

  void Advance() {
    ++progress_.step;
    if (progress_.step < progress_.total_steps) return SetKey();
    while (progress_.stage != Stage::kDone && progress_.step >= progress_.total_steps) {
      Enter(static_cast<Stage>(static_cast<int>(progress_.stage) + 1));
    }
  }

 private:
  int StepsIn(Stage stage) const { return stage == Stage::kDone ? 0 : steps_[static_cast<size_t>(stage)]; }

  void Enter(Stage stage) {
    progress_ = {.stage = stage, .step = 0, .total_steps = StepsIn(stage)};
    SetKey();
  }

  void SetKey() {
    const Stage stage = progress_.stage;
    key_ = BatchKey();
    key_.stage = stage;
    if (stage == Stage::kEncode) {
      const EncodeNetwork network = encode_networks_[static_cast<size_t>(progress_.step)];
      key_.network = EncodeNetworkName(network);
      if (network == EncodeNetwork::kLatents) SetSize();
      if (network == EncodeNetwork::kText) key_.adapter = request_.adapter;
    }
    if (stage == Stage::kPrior) {
      key_.network = "prior";
      key_.adapter = request_.adapter;
      key_.guided = request_.prior_guidance_scale > 1;
    }
    if (stage == Stage::kDenoise || stage == Stage::kDecode) {
      key_.network = stage == Stage::kDenoise ? "unet" : "movq";
      if (stage == Stage::kDenoise) key_.adapter = request_.adapter;
      SetSize();
      key_.guided = stage == Stage::kDenoise && request_.guidance_scale > 1;
    }
  }

  void SetSize() {
    key_.latent_height = request_.height / latent_scale_;
    key_.latent_width = request_.width / latent_scale_;
  }

  const GenerationRequest request_;
  const int image_edge_;
  const int64_t memory_bytes_;
  const int embedding_dim_;
  const int latent_scale_;
  const bool has_result_;
  const std::array<int, 4> steps_;
  const std::vector<EncodeNetwork> encode_networks_;
  const std::vector<PromptTokens> prompt_tokens_;
  const std::shared_ptr<FakePipelineLog> log_;
  BatchKey key_;
  StageProgress progress_;
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

absl::StatusOr<std::unique_ptr<Generation>> FakePipeline::Admit(const GenerationRequest& request) {
  if (Contains(options_.refused_prompts, request.prompt)) {
    return absl::InvalidArgumentError("the model cannot serve this prompt");
  }
  if (Contains(options_.throwing_prompts, request.prompt))
    throw std::runtime_error("secret text of the exception");
  return std::make_unique<FakeGeneration>(request, options_, log_);
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
    if (failure.kind == ScriptedFailure::Kind::kForeign) return absl::DataLossError("no code of the seam");
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

absl::Status FakePipeline::Step(absl::Span<Generation* const> batch) {
  FakeStep step;
  step.key = batch.front()->batch_key();
  for (const Generation* generation : batch) {
    step.members.push_back(static_cast<const FakeGeneration*>(generation)->Describe());
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
  for (Generation* generation : batch) static_cast<FakeGeneration*>(generation)->Advance();
  return absl::OkStatus();
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
