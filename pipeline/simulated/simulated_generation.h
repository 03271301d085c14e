#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "imaging/image.h"
#include "pipeline/pipeline.h"
#include "pipeline/planned_steps.h"

namespace kandinsky {

// What a step of a simulated generation is said to need beside the weights, for each latent pixel of it.
constexpr int64_t kSimulatedBytesPerLatentPixel = 16384;

// One image or embedding of a SimulatedPipeline: goes through the stages of its task (PlannedSteps) without
// computing. Its results are SimulatedPicture and SimulatedResult.
class SimulatedGeneration final : public Generation {
 public:
  // Of a request that the pipeline can serve.
  SimulatedGeneration(const GenerationRequest& request, int embedding_dim);

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
  // Steps of a stage; 0 for one that is skipped.
  int StepsOf(Stage stage) const;
  // Sets the batch key of step step_ of `stage`.
  void Enter(Stage stage);

  const GenerationRequest request_;
  const int embedding_dim_;
  const std::array<int, 4> steps_;  // by Stage
  const std::vector<EncodeNetwork> encode_networks_;
  const std::vector<PromptTokens> prompt_tokens_;
  BatchKey key_;
  int step_ = 0;  // finished steps of the stage
  std::optional<Image> picture_;
};

}  // namespace kandinsky
