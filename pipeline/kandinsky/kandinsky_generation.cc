#include "pipeline/kandinsky/kandinsky_generation.h"

#include <ATen/CPUGeneratorImpl.h>

#include <utility>

#include "pipeline/kandinsky/latent_preview.h"

namespace kandinsky {

KandinskyGeneration::KandinskyGeneration(GenerationRequest request_in, BatchKey first_key)
    : request(std::move(request_in)),
      key_(std::move(first_key)),
      generator_(at::detail::createCPUGenerator(request.seed)) {}

StageProgress KandinskyGeneration::progress() const {
  switch (stage()) {
    case Stage::kPrior:
      return {stage(), step_, prior_sampler->step_count()};
    case Stage::kDenoise:
      return {stage(), step_, sampler->step_count()};
    case Stage::kEncode:
    case Stage::kDecode:
      return {stage(), step_, 1};
    case Stage::kDone:
      break;
  }
  return {Stage::kDone, 0, 0};
}

StepCost KandinskyGeneration::step_cost() const {
  switch (stage()) {
    case Stage::kPrior:
      return {static_cast<int>(prior_rows.size()), 0};
    case Stage::kDenoise: {
      const int rows = guided() ? 2 : 1;
      const int64_t cells = int64_t{rows} * latent_height * latent_width;
      return {rows, cells, cells * step_memory.denoise};
    }
    case Stage::kDecode: {
      const int64_t cells = int64_t{latent_height} * latent_width;
      return {1, cells, cells * step_memory.decode};
    }
    case Stage::kEncode:
    case Stage::kDone:
      break;
  }
  return {1, 0};
}

int KandinskyGeneration::remaining_steps() const {
  const int decode = request.output.image ? 1 : 0;
  switch (stage()) {
    case Stage::kEncode:
      return 1 + prior_sampler->step_count() + sampler->step_count() + decode;
    case Stage::kPrior:
      return prior_sampler->step_count() - step_ + sampler->step_count() + decode;
    case Stage::kDenoise:
      return sampler->step_count() - step_ + decode;
    case Stage::kDecode:
      return 1;
    case Stage::kDone:
      break;
  }
  return 0;
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

void KandinskyGeneration::EnterStage(Stage stage, const char* network) {
  const bool spatial = stage == Stage::kDenoise || stage == Stage::kDecode;
  key_.stage = stage;
  key_.network = network;
  key_.latent_height = spatial ? latent_height : 0;
  key_.latent_width = spatial ? latent_width : 0;
  key_.guided = stage == Stage::kDenoise && guided();
  step_ = 0;
}

void KandinskyGeneration::Fail(absl::Status status) {
  failure_ = std::move(status);
  EnterStage(Stage::kDone, "");
}

DrawsToKeep::DrawsToKeep(absl::Span<KandinskyGeneration* const> batch) : batch_(batch) {
  before_.reserve(batch.size());
  for (const KandinskyGeneration* generation : batch) before_.push_back(generation->generator_.clone());
}

DrawsToKeep::~DrawsToKeep() {
  if (kept_) return;
  for (size_t i = 0; i < batch_.size(); ++i) batch_[i]->generator_ = std::move(before_[i]);
}

}  // namespace kandinsky
