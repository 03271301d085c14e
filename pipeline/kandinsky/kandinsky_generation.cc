#include "pipeline/kandinsky/kandinsky_generation.h"

#include <ATen/CPUGeneratorImpl.h>

#include <utility>

#include "pipeline/kandinsky/latent_preview.h"

namespace kandinsky {
namespace {

std::vector<at::Generator> Clones(const std::vector<at::Generator>& generators) {
  std::vector<at::Generator> clones;
  clones.reserve(generators.size());
  for (const at::Generator& generator : generators) clones.push_back(generator.clone());
  return clones;
}

}  // namespace

KandinskyGeneration::KandinskyGeneration(GenerationRequest request_in, std::shared_ptr<const Plan> plan_in,
                                         RequestNetworks networks_in, int latent_height_in,
                                         int latent_width_in)
    : Generation(std::move(plan_in)),
      request(std::move(request_in)),
      networks(std::move(networks_in)),
      latent_height(latent_height_in),
      latent_width(latent_width_in),
      plan(PlanPrior(request)),
      generator_(at::detail::createCPUGenerator(request.seed)) {}

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

void KandinskyGeneration::EndPrior() {
  prior_latents.reset();
  for (RequestText& text : texts) text.encoded.reset();
  run_generators_.clear();
}

void KandinskyGeneration::Fail(absl::Status status) {
  failure_ = std::move(status);
  cursor_.End();
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
