#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "imaging/image.h"
#include "pipeline/float_tensor.h"
#include "pipeline/generation_request.h"
#include "pipeline/plan.h"

namespace kandinsky {

// The pipeline interface: what the scheduler sees of computing, together with pipeline/model.h.

// How a text was cut to the tokenizer's window.
struct PromptTokens {
  std::string field;    // request field, e.g. "prompt"
  int tokens = 0;       // tokens of the whole text, begin and end token included
  int kept_tokens = 0;  // tokens that the model sees
};

// What a finished sample yields, by its task and OutputRequest.
struct GenerationResult {
  std::optional<Image> image = std::nullopt;
  // Before the image decoder, or what the image encoder gives: [4, latent height, latent width].
  std::optional<FloatTensor> latents = std::nullopt;
  std::optional<FloatTensor> pixels = std::nullopt;  // [3, height, width] in about -1..1, not clamped
  // Of the embedding tasks: [Capabilities::embedding_dim], not normalized.
  std::optional<FloatTensor> embedding = std::nullopt;
  // EmbedPrompt: what the decoder's unconditional half would see.
  std::optional<FloatTensor> negative_embedding = std::nullopt;
  // EmbedText: [tokens of the window, embedding_dim].
  std::optional<FloatTensor> hidden_states = std::nullopt;
  std::vector<int64_t> token_ids = {};  // EmbedText: the whole window, padding included
};

// One image in the making, with all its state: its place in the plan, latents, sampler, random generator.
// Created by Pipeline::Admit, moved on by Pipeline::Step, used by one thread at a time.
class Sample {
 public:
  explicit Sample(std::shared_ptr<const Plan> plan) : cursor_(std::move(plan)) {}
  virtual ~Sample() = default;
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  Stage stage() const { return cursor_.stage(); }
  // Of the next step.
  const BatchKey& batch_key() const { return cursor_.key(); }
  StageProgress progress() const { return cursor_.progress(); }
  StepCost step_cost() const { return cursor_.cost(); }
  // Steps that remain in all stages, the next one included.
  int remaining_steps() const { return cursor_.remaining_steps(); }

  virtual const std::vector<PromptTokens>& prompt_tokens() const = 0;
  // A cheap small image of the unfinished one, RGB; nothing outside Stage::kDenoise, or when the pipeline
  // has no previews. Runs no network.
  virtual std::optional<Image> Preview() const { return std::nullopt; }
  // Moves the result out. Only in Stage::kDone, once. An error concerns this sample alone (INTERNAL: its
  // latents are not finite); the others of its batches are not touched by it.
  virtual absl::StatusOr<GenerationResult> TakeResult() = 0;

 protected:
  PlanCursor cursor_;
};

// A loaded model on one device. Owned and called by one thread; weights may be shared with other pipelines.
class Pipeline {
 public:
  virtual ~Pipeline() = default;

  // Creates the sample of `request`, whose work is `plan`: tokenizes, seeds the generator. Cheap, runs no
  // network. INVALID_ARGUMENT when the model cannot serve the request.
  virtual absl::StatusOr<std::unique_ptr<Sample>> Admit(const GenerationRequest& request,
                                                        std::shared_ptr<const Plan> plan) = 0;

  // One batched forward pass of the common stage. `batch` is not empty, its members are distinct, come from
  // this pipeline, share batch_key() and are not in Stage::kDone. On success every member has moved on by one
  // step. Errors concern the whole batch and leave its members unusable (they can only be destroyed), but the
  // pipeline stays usable: RESOURCE_EXHAUSTED when memory ran out (members are unchanged and may be stepped
  // again, in smaller batches), INTERNAL for anything else. UNAVAILABLE says that the pipeline is lost, e.g.
  // with its device: all its samples are then unusable, and it can only be destroyed.
  virtual absl::Status Step(absl::Span<Sample* const> batch) = 0;
};

}  // namespace kandinsky
