#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "imaging/image.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// What a step of a simulated generation is said to need beside the weights, for each latent pixel of it.
constexpr int64_t kSimulatedBytesPerLatentPixel = 16384;

// One image of a SimulatedPipeline: goes through the stages of a text-to-image generation without computing.
// Its results follow from the seed and the size alone.
class SimulatedGeneration final : public Generation {
 public:
  // Of a request that the pipeline can serve.
  explicit SimulatedGeneration(const GenerationRequest& request);

  Stage stage() const override { return key_.stage; }
  const BatchKey& batch_key() const override { return key_; }
  StageProgress progress() const override { return {stage(), step_, StepsOf(stage())}; }
  StepCost step_cost() const override;
  int remaining_steps() const override;
  const std::vector<PromptTokens>& prompt_tokens() const override { return prompt_tokens_; }
  std::optional<Image> Preview() const override;
  absl::StatusOr<GenerationResult> TakeResult() override;

  // Moves on by one step. Makes the picture at the end of the decode stage, which takes about a millisecond
  // for 512 x 512 pixels.
  void Advance();

 private:
  // Steps of a stage as requested; 0 for one that is skipped.
  int StepsOf(Stage stage) const;
  void Enter(Stage stage);

  const GenerationRequest request_;
  std::vector<PromptTokens> prompt_tokens_;
  BatchKey key_;
  int step_ = 0;  // finished steps of the stage
  std::optional<Image> picture_;
};

}  // namespace kandinsky
