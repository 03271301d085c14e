#include "pipeline/simulated/simulated_generation.h"

#include <utility>

#include "pipeline/simulated/simulated_picture.h"
#include "pipeline/simulated/simulated_results.h"

namespace kandinsky {

SimulatedGeneration::SimulatedGeneration(const GenerationRequest& request, std::shared_ptr<const Plan> plan,
                                         int embedding_dim)
    : Generation(std::move(plan)),
      request_(request),
      embedding_dim_(embedding_dim),
      prompt_tokens_(SimulatedPromptTokens(request)) {}

std::optional<Image> SimulatedGeneration::Preview() const {
  if (stage() != Stage::kDenoise) return std::nullopt;
  const StageProgress done = progress();
  return SimulatedPreview(request_.seed, batch_key().latent_width, batch_key().latent_height,
                          static_cast<double>(done.step) / done.total_steps);
}

absl::StatusOr<GenerationResult> SimulatedGeneration::TakeResult() {
  GenerationResult result = SimulatedResult(request_, embedding_dim_);
  result.image = std::move(picture_);
  return result;
}

void SimulatedGeneration::Advance() {
  if (stage() == Stage::kDecode && request_.output.image) {
    picture_ = SimulatedPicture(request_.seed, request_.width, request_.height);
  }
  cursor_.Advance();
}

}  // namespace kandinsky
