#include "pipeline/diffusion/diffusion_sample.h"

#include <ATen/CPUGeneratorImpl.h>

#include <utility>

#include "pipeline/diffusion/latent_preview.h"

namespace kandinsky {
namespace {

std::vector<at::Generator> Clones(const std::vector<at::Generator>& generators) {
  std::vector<at::Generator> clones;
  clones.reserve(generators.size());
  for (const at::Generator& generator : generators) clones.push_back(generator.clone());
  return clones;
}

}  // namespace

DiffusionSample::DiffusionSample(GenerationRequest request_in, std::shared_ptr<const Plan> plan_in,
                                 SampleRecipe recipe_in, RequestNetworks networks_in,
                                 const Placement& placement_in, LatentSize size_in)
    : Sample(std::move(plan_in)),
      request(std::move(request_in)),
      recipe(std::move(recipe_in)),
      networks(std::move(networks_in)),
      placement(placement_in),
      size(size_in),
      generator_(at::detail::createCPUGenerator(request.seed)) {}

std::optional<Image> DiffusionSample::Preview() const {
  if (stage() != Stage::kDenoise || !latents.defined() || !latent_to_rgb.defined()) return std::nullopt;
  return PreviewOf(latents, latent_to_rgb);
}

absl::StatusOr<GenerationResult> DiffusionSample::TakeResult() {
  if (!failure_.ok()) return failure_;
  return std::move(result);
}

torch::Tensor DiffusionSample::DrawNoise(at::IntArrayRef shape) { return placement.Noise(shape, generator_); }

void DiffusionSample::StartPriorRuns(int draws, int64_t width) {
  run_generators_.clear();
  for (const int rows : recipe.run_rows) {
    run_generators_.push_back(generator_.clone());
    for (int draw = 0; draw < draws; ++draw) DrawNoise({rows, width});
  }
}

torch::Tensor DiffusionSample::DrawPriorNoise(int64_t width) {
  std::vector<torch::Tensor> drawn(recipe.run_rows.size());  // by run
  std::vector<torch::Tensor> rows;
  for (const PriorRow& row : recipe.rows) {
    const auto run = static_cast<size_t>(row.run);
    if (!drawn[run].defined()) {
      drawn[run] = placement.Noise({recipe.run_rows[run], width}, run_generators_[run]);
    }
    rows.push_back(drawn[run][row.run_row]);
  }
  return torch::stack(rows);
}

void DiffusionSample::DropEncodedTexts() {
  for (SampleText& text : texts) text.encoded.reset();
}

void DiffusionSample::EndPrior() {
  prior_latents.reset();
  DropEncodedTexts();
  run_generators_.clear();
}

void DiffusionSample::Fail(absl::Status status) {
  failure_ = std::move(status);
  cursor_.End();
}

RandomStateGuard::RandomStateGuard(absl::Span<DiffusionSample* const> batch) : batch_(batch) {
  before_.reserve(batch.size());
  for (const DiffusionSample* sample : batch) {
    before_.push_back({sample->generator_.clone(), Clones(sample->run_generators_)});
  }
}

RandomStateGuard::~RandomStateGuard() {
  if (kept_) return;
  for (size_t i = 0; i < batch_.size(); ++i) {
    batch_[i]->generator_ = std::move(before_[i].main);
    batch_[i]->run_generators_ = std::move(before_[i].runs);
  }
}

}  // namespace kandinsky
