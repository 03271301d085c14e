#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "pipeline/kandinsky/conditioning.h"
#include "pipeline/kandinsky/text_encoding_cache.h"
#include "pipeline/pipeline.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/tokenizers/clip_tokenizer.h"

namespace kandinsky {

// A text of a request on its way through the encode stage.
struct RequestText {
  ClipTokenizer::Tokens tokens;
  std::shared_ptr<const EncodedText> encoded;  // null before the encode stage
};

// One row of the prior's batched pass: which latent row it predicts, under which text.
struct PriorRow {
  int latent_row = 0;
  const RequestText* text = nullptr;
};

// Memory that steps take beside the weights, in bytes per latent cell and network row: an estimate.
struct StepMemory {
  int64_t denoise = 0;
  int64_t decode = 0;
};

// The state of one image in the making. The stages (the functions in stages.h) read and move it on;
// everything random comes from its own generator, in the order in which diffusers draws: prior latents, prior
// steps but the last, initial latents, denoise steps.
class KandinskyGeneration final : public Generation {
 public:
  KandinskyGeneration(GenerationRequest request, BatchKey first_key);

  Stage stage() const override { return key_.stage; }
  const BatchKey& batch_key() const override { return key_; }
  StageProgress progress() const override;
  StepCost step_cost() const override;
  int remaining_steps() const override;
  const std::vector<PromptTokens>& prompt_tokens() const override { return token_report; }
  std::optional<Image> Preview() const override;
  absl::StatusOr<GenerationResult> TakeResult() override;

  bool guided() const { return request.guidance_scale > 1.0f; }
  bool prior_guided() const { return request.prior_guidance_scale > 1.0f; }

  // Standard normal float32 numbers from this image's generator. Only under a DrawsToKeep.
  torch::Tensor DrawNoise(at::IntArrayRef shape);

  // Enters `stage`; the step counter starts again.
  void EnterStage(Stage stage, const char* network);
  void FinishStep() { ++step_; }
  int step() const { return step_; }

  // Ends this generation alone; the others of its batch go on.
  void Fail(absl::Status status);

  const GenerationRequest request;
  int latent_height = 0;
  int latent_width = 0;
  StepMemory step_memory;       // the model's
  torch::Tensor latent_to_rgb;  // the model's

  // Encode stage.
  RequestText prompt;
  std::optional<RequestText> negative;  // absent when nothing needs it

  // Prior stage.
  std::unique_ptr<Sampler> prior_sampler;
  // One row, or two when a negative prompt is given: its image embedding is sampled beside the prompt's, in
  // one draw of [2, embedding_dim], as diffusers does.
  torch::Tensor prior_latents;
  std::vector<PriorRow> prior_rows;

  // Denoise stage.
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Conditioning> conditioning;
  torch::Tensor latents;  // [1, 4, latent_height, latent_width] float32

  std::vector<PromptTokens> token_report;
  GenerationResult result;

 private:
  friend class DrawsToKeep;

  BatchKey key_;
  int step_ = 0;
  at::Generator generator_;
  absl::Status failure_;
};

// Takes back the random numbers that a batch has drawn, unless Keep() is called: a step that fails must leave
// its generations as they were, so that a retry draws the same numbers again.
class DrawsToKeep {
 public:
  explicit DrawsToKeep(absl::Span<KandinskyGeneration* const> batch);
  ~DrawsToKeep();
  DrawsToKeep(const DrawsToKeep&) = delete;
  DrawsToKeep& operator=(const DrawsToKeep&) = delete;

  void Keep() { kept_ = true; }

 private:
  const absl::Span<KandinskyGeneration* const> batch_;
  std::vector<at::Generator> before_;
  bool kept_ = false;
};

}  // namespace kandinsky
