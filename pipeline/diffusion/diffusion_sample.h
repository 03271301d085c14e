#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "pipeline/device/placement.h"
#include "pipeline/diffusion/adapted_networks.h"
#include "pipeline/diffusion/conditioning.h"
#include "pipeline/diffusion/text_encoding_cache.h"
#include "pipeline/pipeline.h"
#include "pipeline/recipe.h"
#include "pipeline/samplers/sampler.h"
#include "pipeline/tokenizers/text_tokens.h"

namespace kandinsky {

// A text of a recipe on its way through the encode stage.
struct SampleText {
  TextTokens tokens;
  bool for_prior = false;                                // whether the prior reads it
  bool for_denoiser = false;                             // whether the denoiser reads it
  std::shared_ptr<const EncodedText> encoded = nullptr;  // null before the encode stage
};

// Height and width in cells.
struct LatentSize {
  int channels = 4;
  int height = 0;
  int width = 0;
};

// The state of one image in the making. The stages (the functions in stages.h) read and move it on;
// everything random comes from its own generator, in the order in which diffusers draws: the prior's runs one
// after the other (latents, then its steps but the last), initial latents, denoise steps.
class DiffusionSample final : public Sample {
 public:
  // `networks` are those of the request's task and adapter, `size` is that of its latents.
  DiffusionSample(GenerationRequest request, std::shared_ptr<const Plan> plan, SampleRecipe recipe,
                  RequestNetworks networks, const Placement& placement, LatentSize size);

  const std::vector<PromptTokens>& prompt_tokens() const override { return token_report; }
  std::optional<Image> Preview() const override;
  absl::StatusOr<GenerationResult> TakeResult() override;

  bool guided() const { return request.guidance_scale > 1.0f; }

  // Steps of a stage.
  int steps_of(Stage stage) const { return cursor_.plan().StepsOf(stage); }

  // Standard normal float32 numbers on the model's device, from this image's generator. Only under a
  // RandomStateGuard.
  torch::Tensor DrawNoise(at::IntArrayRef shape);
  // Gives each run of the prior its place in the generator's sequence, of `draws` draws of [rows, width], and
  // moves the generator behind them. Only under a RandomStateGuard.
  void StartPriorRuns(int draws, int64_t width);
  // The next numbers of the rows that are sampled, [rows of the recipe, width]. Only under a
  // RandomStateGuard.
  torch::Tensor DrawPriorNoise(int64_t width);

  // Whether the running step is the last of its stage.
  bool IsLastStep() const { return cursor_.IsLastOfStage(); }
  // Ends a step. Never throws.
  void FinishStep() { cursor_.Advance(); }
  // Finished steps of the running stage.
  int step() const { return progress().step; }

  // Drops the encoded texts, which nobody reads in or after the denoise loop.
  void DropEncodedTexts();
  // Drops what only the prior reads, and the texts.
  void EndPrior();

  // Ends this sample alone; the others of its batch go on.
  void Fail(absl::Status status);

  const GenerationRequest request;
  const SampleRecipe recipe;
  const RequestNetworks networks;
  const Placement placement;  // the model's
  const LatentSize size;
  torch::Tensor latent_to_rgb;  // the model's

  // Encode stage.
  std::vector<SampleText> texts;                // those of the recipe
  std::vector<torch::Tensor> image_embeddings;  // of the recipe's images, [1, embedding_dim]
  torch::Tensor image_latents;                  // of the task's image, [1, channels, height, width]

  // Prior stage.
  std::unique_ptr<Sampler> prior_sampler;
  torch::Tensor prior_latents;  // [rows of the recipe, embedding_dim]

  // Denoise stage.
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Conditioning> conditioning;
  torch::Tensor latents;  // [1, channels, height, width] float32

  std::vector<PromptTokens> token_report;
  GenerationResult result;

 private:
  friend class RandomStateGuard;

  at::Generator generator_;
  std::vector<at::Generator> run_generators_;  // of the recipe's runs
  absl::Status failure_;
};

// Takes back the random numbers that a batch has drawn, unless Keep() is called: a step that fails must leave
// its samples as they were, so that a retry draws the same numbers again.
class RandomStateGuard {
 public:
  explicit RandomStateGuard(absl::Span<DiffusionSample* const> batch);
  ~RandomStateGuard();
  RandomStateGuard(const RandomStateGuard&) = delete;
  RandomStateGuard& operator=(const RandomStateGuard&) = delete;

  void Keep() { kept_ = true; }

 private:
  struct Generators {
    at::Generator main;
    std::vector<at::Generator> runs;
  };

  const absl::Span<DiffusionSample* const> batch_;
  std::vector<Generators> before_;
  bool kept_ = false;
};

}  // namespace kandinsky
