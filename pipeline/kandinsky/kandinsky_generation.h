#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "pipeline/kandinsky/adapted_networks.h"
#include "pipeline/kandinsky/conditioning.h"
#include "pipeline/kandinsky/text_encoding_cache.h"
#include "pipeline/kandinsky22/prior_plan.h"
#include "pipeline/pipeline.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/tokenizers/clip_tokenizer.h"

namespace kandinsky {

// A text of a request on its way through the encode stage.
struct RequestText {
  ClipTokenizer::Tokens tokens;
  std::shared_ptr<const EncodedText> encoded;  // null before the encode stage
};

// The state of one image in the making. The stages (the functions in stages.h) read and move it on;
// everything random comes from its own generator, in the order in which diffusers draws: the prior's runs one
// after the other (latents, then its steps but the last), initial latents, denoise steps.
class KandinskyGeneration final : public Generation {
 public:
  // `networks` are those of the request's task and adapter, `latent_height` and `latent_width` those of its
  // image.
  KandinskyGeneration(GenerationRequest request, std::shared_ptr<const Plan> plan, RequestNetworks networks,
                      int latent_height, int latent_width);

  const std::vector<PromptTokens>& prompt_tokens() const override { return token_report; }
  std::optional<Image> Preview() const override;
  absl::StatusOr<GenerationResult> TakeResult() override;

  bool guided() const { return request.guidance_scale > 1.0f; }

  // Steps of a stage.
  int steps_of(Stage stage) const { return cursor_.plan().StepsOf(stage); }

  // Standard normal float32 numbers from this image's generator. Only under a DrawsToKeep.
  torch::Tensor DrawNoise(at::IntArrayRef shape);
  // Gives each run of the prior its place in the generator's sequence, of `draws` draws of [rows, width], and
  // moves the generator behind them. Only under a DrawsToKeep.
  void StartPriorRuns(int draws, int64_t width);
  // The next numbers of the rows that are sampled, [rows of the plan, width]. Only under a DrawsToKeep.
  torch::Tensor DrawPriorNoise(int64_t width);

  // Whether the running step is the last of its stage.
  bool IsLastStep() const { return cursor_.IsLastOfStage(); }
  // Ends a step. Never throws.
  void FinishStep() { cursor_.Advance(); }
  // Finished steps of the running stage.
  int step() const { return progress().step; }

  // Drops what only the prior reads.
  void EndPrior();

  // Ends this generation alone; the others of its batch go on.
  void Fail(absl::Status status);

  const GenerationRequest request;
  const RequestNetworks networks;
  const int latent_height;
  const int latent_width;
  const PriorPlan plan;
  torch::Tensor latent_to_rgb;  // the model's

  // Encode stage.
  std::vector<RequestText> texts;                 // those of the plan
  std::vector<torch::Tensor> picture_embeddings;  // those of the plan, [1, embedding_dim]
  torch::Tensor image_latents;  // of the task's picture, [1, 4, latent_height, latent_width]

  // Prior stage.
  std::unique_ptr<Sampler> prior_sampler;
  torch::Tensor prior_latents;  // [rows of the plan, embedding_dim]

  // Denoise stage.
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Conditioning> conditioning;
  torch::Tensor latents;  // [1, 4, latent_height, latent_width] float32

  std::vector<PromptTokens> token_report;
  GenerationResult result;

 private:
  friend class DrawsToKeep;

  at::Generator generator_;
  std::vector<at::Generator> run_generators_;  // of the plan's runs
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
  struct Generators {
    at::Generator main;
    std::vector<at::Generator> runs;
  };

  const absl::Span<KandinskyGeneration* const> batch_;
  std::vector<Generators> before_;
  bool kept_ = false;
};

}  // namespace kandinsky
