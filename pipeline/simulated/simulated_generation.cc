#include "pipeline/simulated/simulated_generation.h"

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>

#include "pipeline/simulated/simulated_picture.h"

namespace kandinsky {
namespace {

constexpr int kLatentScale = 8;
constexpr int kLatentChannels = 4;
constexpr int kTextWindow = 77;  // of the CLIP text towers, begin and end token included

// A word is about a token.
PromptTokens CountTokens(const char* field, const std::string& text) {
  std::istringstream words(text);
  int tokens = 2;
  for (std::string word; words >> word;) ++tokens;
  return {.field = field, .tokens = tokens, .kept_tokens = std::min(tokens, kTextWindow)};
}

Stage Next(Stage stage) { return static_cast<Stage>(static_cast<int>(stage) + 1); }

const char* NetworkOf(Stage stage) {
  switch (stage) {
    case Stage::kEncode:
      return "text_encoder";
    case Stage::kPrior:
      return "prior";
    case Stage::kDenoise:
      return "unet";
    case Stage::kDecode:
      return "movq";
    case Stage::kDone:
      break;
  }
  return "";
}

}  // namespace

SimulatedGeneration::SimulatedGeneration(const GenerationRequest& request) : request_(request) {
  prompt_tokens_.push_back(CountTokens("prompt", request.prompt));
  if (request.negative_prompt) {
    prompt_tokens_.push_back(CountTokens("negative_prompt", *request.negative_prompt));
  }
  Enter(Stage::kEncode);
}

StepCost SimulatedGeneration::step_cost() const {
  const int rows = key_.guided ? 2 : 1;
  const int64_t pixels = int64_t{key_.latent_height} * key_.latent_width * rows;
  return {
      .network_rows = rows, .latent_pixels = pixels, .memory_bytes = pixels * kSimulatedBytesPerLatentPixel};
}

int SimulatedGeneration::remaining_steps() const {
  int steps = StepsOf(stage()) - step_;
  for (Stage later = stage(); later != Stage::kDone;) {
    later = Next(later);
    steps += StepsOf(later);
  }
  return steps;
}

std::optional<Image> SimulatedGeneration::Preview() const {
  if (stage() != Stage::kDenoise) return std::nullopt;
  return SimulatedPreview(request_.seed, key_.latent_width, key_.latent_height,
                          static_cast<double>(step_) / request_.steps);
}

absl::StatusOr<GenerationResult> SimulatedGeneration::TakeResult() {
  GenerationResult result{.image = std::move(picture_), .latents = std::nullopt};
  if (request_.output.latents) {
    const int64_t height = request_.height / kLatentScale;
    const int64_t width = request_.width / kLatentScale;
    result.latents = FloatTensor{
        .shape = {kLatentChannels, height, width},
        .values = SimulatedLatents(request_.seed, static_cast<size_t>(kLatentChannels * height * width))};
  }
  return result;
}

void SimulatedGeneration::Advance() {
  ++step_;
  if (stage() == Stage::kDecode) picture_ = SimulatedPicture(request_.seed, request_.width, request_.height);
  if (step_ < StepsOf(stage())) return;
  Stage next = Next(stage());
  if (next == Stage::kDecode && StepsOf(next) == 0) next = Stage::kDone;
  Enter(next);
}

int SimulatedGeneration::StepsOf(Stage stage) const {
  switch (stage) {
    case Stage::kEncode:
      return 1;
    case Stage::kPrior:
      return request_.prior_steps;
    case Stage::kDenoise:
      return request_.steps;
    case Stage::kDecode:
      return request_.output.image ? 1 : 0;
    case Stage::kDone:
      break;
  }
  return 0;
}

void SimulatedGeneration::Enter(Stage stage) {
  const bool spatial = stage == Stage::kDenoise || stage == Stage::kDecode;
  key_ = {.stage = stage,
          .network = NetworkOf(stage),
          .latent_height = spatial ? request_.height / kLatentScale : 0,
          .latent_width = spatial ? request_.width / kLatentScale : 0,
          .guided = (stage == Stage::kPrior && request_.prior_guidance_scale > 1) ||
                    (stage == Stage::kDenoise && request_.guidance_scale > 1)};
  step_ = 0;
}

}  // namespace kandinsky
