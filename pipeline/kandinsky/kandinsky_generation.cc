#include "pipeline/kandinsky/kandinsky_generation.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "pipeline/kandinsky/latent_preview.h"

namespace kandinsky {
namespace {

Stage After(Stage stage) { return static_cast<Stage>(static_cast<int>(stage) + 1); }

std::vector<at::Generator> Clones(const std::vector<at::Generator>& generators) {
  std::vector<at::Generator> clones;
  clones.reserve(generators.size());
  for (const at::Generator& generator : generators) clones.push_back(generator.clone());
  return clones;
}

}  // namespace

KandinskyGeneration::KandinskyGeneration(GenerationRequest request_in, const AdaptedNetworks& networks_in,
                                         int latent_height_in, int latent_width_in)
    : request(std::move(request_in)),
      networks(networks_in),
      latent_height(latent_height_in),
      latent_width(latent_width_in),
      plan(PlanPrior(request)),
      encode_networks(EncodeNetworks(request)),
      planned_steps(PlannedSteps(request)),
      generator_(at::detail::createCPUGenerator(request.seed)) {
  key_.adapter.reserve(request.adapter.size());  // so that no later change of the key allocates
  EnterStage(Stage::kEncode);
}

StageProgress KandinskyGeneration::progress() const {
  if (stage() == Stage::kDone) return {Stage::kDone, 0, 0};
  return {stage(), step_, planned_steps[static_cast<size_t>(stage())]};
}

StepCost KandinskyGeneration::step_cost() const {
  StepCost cost = StageCost();
  if (std::holds_alternative<ControlNet>(request.task) && IsLastStep() && NextStage() == Stage::kDenoise) {
    cost.memory_bytes += int64_t{latent_height} * latent_width * step_memory.hint;
  }
  return cost;
}

StepCost KandinskyGeneration::StageCost() const {
  const int64_t cells = int64_t{key_.latent_height} * key_.latent_width;
  switch (stage()) {
    case Stage::kEncode: {
      const EncodeNetwork network = encode_networks[static_cast<size_t>(step_)];
      const auto count = [](const auto& inputs) {
        return static_cast<int>(std::max(inputs.size(), size_t{1}));
      };
      if (network == EncodeNetwork::kText) return {count(texts), 0, count(texts) * step_memory.text};
      if (network == EncodeNetwork::kImage) {
        return {count(plan.pictures), 0, count(plan.pictures) * step_memory.picture};
      }
      return {1, cells, cells * step_memory.decode};
    }
    case Stage::kPrior:
      return {prior_network_rows(), 0, prior_network_rows() * step_memory.prior};
    case Stage::kDenoise: {
      const int rows = guided() ? 2 : 1;
      return {rows, rows * cells, rows * cells * step_memory.denoise};
    }
    case Stage::kDecode:
      return {1, cells, cells * step_memory.decode};
    case Stage::kDone:
      break;
  }
  return {1, 0};
}

int KandinskyGeneration::prior_network_rows() const {
  int rows = 0;
  for (const PriorRow& row : plan.rows) rows += row.unconditional >= 0 ? 2 : 1;
  return rows;
}

int KandinskyGeneration::remaining_steps() const {
  int steps = -step_;
  for (Stage later = stage(); later != Stage::kDone; later = After(later)) {
    steps += planned_steps[static_cast<size_t>(later)];
  }
  return steps;
}

std::optional<Image> KandinskyGeneration::Preview() const {
  if (stage() != Stage::kDenoise || !latents.defined()) return std::nullopt;
  return PreviewOf(latents, latent_to_rgb);
}

absl::StatusOr<GenerationResult> KandinskyGeneration::TakeResult() {
  if (!failure_.ok()) return failure_;
  return std::move(result);
}

torch::Tensor KandinskyGeneration::DrawNoise(at::IntArrayRef shape) {
  return torch::randn(shape, generator_, torch::kFloat32);
}

void KandinskyGeneration::StartPriorRuns(int draws, int64_t width) {
  run_generators_.clear();
  for (const int rows : plan.run_rows) {
    run_generators_.push_back(generator_.clone());
    for (int draw = 0; draw < draws; ++draw) DrawNoise({rows, width});
  }
}

torch::Tensor KandinskyGeneration::DrawPriorNoise(int64_t width) {
  std::vector<torch::Tensor> drawn(plan.run_rows.size());  // by run
  std::vector<torch::Tensor> rows;
  for (const PriorRow& row : plan.rows) {
    const auto run = static_cast<size_t>(row.run);
    if (!drawn[run].defined()) {
      drawn[run] = torch::randn({plan.run_rows[run], width}, run_generators_[run], torch::kFloat32);
    }
    rows.push_back(drawn[run][row.run_row]);
  }
  return torch::stack(rows);
}

Stage KandinskyGeneration::NextStage() const {
  Stage next = After(stage());
  while (next != Stage::kDone && planned_steps[static_cast<size_t>(next)] == 0) next = After(next);
  return next;
}

void KandinskyGeneration::FinishStep() {
  if (IsLastStep()) {
    EnterStage(NextStage());
    return;
  }
  ++step_;
  SetNetwork();
}

void KandinskyGeneration::EnterStage(Stage stage) {
  key_.stage = stage;
  step_ = 0;
  SetNetwork();
}

void KandinskyGeneration::SetNetwork() {
  bool spatial = false;
  key_.adapter.clear();
  switch (key_.stage) {
    case Stage::kEncode: {
      const EncodeNetwork network = encode_networks[static_cast<size_t>(step_)];
      key_.network = EncodeNetworkName(network);
      spatial = network == EncodeNetwork::kLatents;
      // With the texts goes the prior's prefix.
      if (network == EncodeNetwork::kText) key_.adapter = networks.prior_adapter;
      break;
    }
    case Stage::kPrior:
      key_.network = "prior";
      key_.adapter = networks.prior_adapter;
      break;
    case Stage::kDenoise:
      key_.network = "unet";
      key_.adapter = networks.unet_adapter;
      spatial = true;
      break;
    case Stage::kDecode:
      key_.network = "movq";
      spatial = true;
      break;
    case Stage::kDone:
      key_.network = "";
      break;
  }
  key_.latent_height = spatial ? latent_height : 0;
  key_.latent_width = spatial ? latent_width : 0;
  key_.guided = key_.stage == Stage::kDenoise && guided();
}

void KandinskyGeneration::EndPrior() {
  prior_latents.reset();
  for (RequestText& text : texts) text.encoded.reset();
  run_generators_.clear();
}

void KandinskyGeneration::Fail(absl::Status status) {
  failure_ = std::move(status);
  EnterStage(Stage::kDone);
}

DrawsToKeep::DrawsToKeep(absl::Span<KandinskyGeneration* const> batch) : batch_(batch) {
  before_.reserve(batch.size());
  for (const KandinskyGeneration* generation : batch) {
    before_.push_back({generation->generator_.clone(), Clones(generation->run_generators_)});
  }
}

DrawsToKeep::~DrawsToKeep() {
  if (kept_) return;
  for (size_t i = 0; i < batch_.size(); ++i) {
    batch_[i]->generator_ = std::move(before_[i].main);
    batch_[i]->run_generators_ = std::move(before_[i].runs);
  }
}

}  // namespace kandinsky
