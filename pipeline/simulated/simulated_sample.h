#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "imaging/image.h"
#include "pipeline/pipeline.h"

namespace kandinsky {

// One image or embedding of a SimulatedPipeline: goes through its plan without computing. Its results are
// SimulatedImage and SimulatedResult.
class SimulatedSample final : public Sample {
 public:
  // Of a request that the model can serve.
  SimulatedSample(const GenerationRequest& request, std::shared_ptr<const Plan> plan, int embedding_dim);

  const std::vector<PromptTokens>& prompt_tokens() const override { return prompt_tokens_; }
  std::optional<Image> Preview() const override;
  absl::StatusOr<GenerationResult> TakeResult() override;

  // Moves on by one step. Makes the image at the end of the decode stage, which takes about a millisecond
  // for 512 x 512 pixels.
  void Advance();

 private:
  const GenerationRequest request_;
  const int embedding_dim_;
  const std::vector<PromptTokens> prompt_tokens_;
  std::optional<Image> image_;
};

}  // namespace kandinsky
