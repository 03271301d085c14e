#include "pipeline/simulated/simulated_sample.h"

#include <utility>

#include "pipeline/simulated/simulated_image.h"
#include "pipeline/simulated/simulated_results.h"

namespace kandinsky {

SimulatedSample::SimulatedSample(const GenerationRequest& request, std::shared_ptr<const Plan> plan,
                                 int embedding_dim)
    : Sample(std::move(plan)),
      request_(request),
      embedding_dim_(embedding_dim),
      prompt_tokens_(SimulatedPromptTokens(request)) {}

std::optional<Image> SimulatedSample::Preview() const {
  if (stage() != Stage::kDenoise) return std::nullopt;
  const StageProgress done = progress();
  return SimulatedPreview(request_.seed, batch_key().latent_width, batch_key().latent_height,
                          static_cast<double>(done.step) / done.total_steps);
}

absl::StatusOr<GenerationResult> SimulatedSample::TakeResult() {
  GenerationResult result = SimulatedResult(request_, embedding_dim_);
  result.image = std::move(image_);
  return result;
}

void SimulatedSample::Advance() {
  if (stage() == Stage::kDecode && request_.output.image) {
    image_ = SimulatedImage(request_.seed, request_.width, request_.height);
  }
  cursor_.Advance();
}

}  // namespace kandinsky
