#include "pipeline/simulated/simulated_generation.h"

#include <utility>

#include "pipeline/simulated/simulated_picture.h"
#include "pipeline/simulated/simulated_results.h"

namespace kandinsky {
namespace {

constexpr int kLatentScale = 8;

Stage Next(Stage stage) { return static_cast<Stage>(static_cast<int>(stage) + 1); }

// Of the stages that have only one.
const char* NetworkOf(Stage stage) {
  switch (stage) {
    case Stage::kPrior:
      return "prior";
    case Stage::kDenoise:
      return "unet";
    case Stage::kDecode:
      return "movq";
    case Stage::kEncode:
    case Stage::kDone:
      break;
  }
  return "";
}

}  // namespace

SimulatedGeneration::SimulatedGeneration(const GenerationRequest& request, int embedding_dim)
    : request_(request),
      embedding_dim_(embedding_dim),
      steps_(PlannedSteps(request)),
      encode_networks_(EncodeNetworks(request)),
      prompt_tokens_(SimulatedPromptTokens(request)) {
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
                          static_cast<double>(step_) / StepsOf(Stage::kDenoise));
}

absl::StatusOr<GenerationResult> SimulatedGeneration::TakeResult() {
  GenerationResult result = SimulatedResult(request_, embedding_dim_);
  result.image = std::move(picture_);
  return result;
}

void SimulatedGeneration::Advance() {
  ++step_;
  if (stage() == Stage::kDecode && request_.output.image) {
    picture_ = SimulatedPicture(request_.seed, request_.width, request_.height);
  }
  if (step_ < StepsOf(stage())) return Enter(stage());
  step_ = 0;
  Stage next = Next(stage());
  while (next != Stage::kDone && StepsOf(next) == 0) next = Next(next);
  Enter(next);
}

int SimulatedGeneration::StepsOf(Stage stage) const {
  return stage == Stage::kDone ? 0 : steps_[static_cast<size_t>(stage)];
}

void SimulatedGeneration::Enter(Stage stage) {
  const bool encodes = stage == Stage::kEncode;
  const EncodeNetwork network = encodes ? encode_networks_[static_cast<size_t>(step_)] : EncodeNetwork::kText;
  const bool spatial =
      stage == Stage::kDenoise || stage == Stage::kDecode || network == EncodeNetwork::kLatents;
  const bool adapts =
      stage == Stage::kPrior || stage == Stage::kDenoise || (encodes && network == EncodeNetwork::kText);
  key_ = {.stage = stage,
          .network = encodes ? EncodeNetworkName(network) : NetworkOf(stage),
          .latent_height = spatial ? request_.height / kLatentScale : 0,
          .latent_width = spatial ? request_.width / kLatentScale : 0,
          .guided = (stage == Stage::kPrior && request_.prior_guidance_scale > 1) ||
                    (stage == Stage::kDenoise && request_.guidance_scale > 1),
          .adapter = adapts ? request_.adapter : ""};
}

}  // namespace kandinsky
