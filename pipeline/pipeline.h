#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "imaging/image.h"
#include "pipeline/float_tensor.h"
#include "pipeline/generation_request.h"

namespace kandinsky {

// The seam between scheduling and computing: the scheduler sees the models only through this header.

// Stations of a generation, in order. kEncode takes a step for each network that its inputs need, kDecode
// one, kPrior and kDenoise many; PlannedSteps() knows the numbers. Legal transitions: to the next station
// that has steps, or to kDone, which is final. Every generation starts in kEncode.
enum class Stage { kEncode, kPrior, kDenoise, kDecode, kDone };

// "encode", "prior", "denoise", "decode", "done".
const char* StageName(Stage stage);

// What must agree for two generations to share a step: not seed, prompt, step index, steps or guidance value.
struct BatchKey {
  Stage stage = Stage::kEncode;
  std::string network;    // which weights the step runs, e.g. "unet"
  int latent_height = 0;  // 0 for networks that have no spatial size
  int latent_width = 0;
  bool guided = false;       // two network rows (unconditional, conditional) per generation instead of one
  std::string adapter = {};  // the set of adapters in the weights; empty: none

  friend bool operator==(const BatchKey&, const BatchKey&) = default;

  template <typename H>
  friend H AbslHashValue(H state, const BatchKey& key) {
    return H::combine(std::move(state), key.stage, key.network, key.latent_height, key.latent_width,
                      key.guided, key.adapter);
  }
};

// Where a generation stands. `step` counts finished steps of `stage`.
struct StageProgress {
  Stage stage = Stage::kEncode;
  int step = 0;
  int total_steps = 0;
};

// What one more step of a generation costs, for planning.
struct StepCost {
  int network_rows = 1;       // rows that the generation adds to a batched forward pass
  int64_t latent_pixels = 0;  // latent height x width x network_rows; 0 in stages without a spatial size
  int64_t memory_bytes = 0;   // what the step needs for it beside the weights, an estimate; 0: unknown
};

// How a text was cut to the tokenizer's window.
struct PromptTokens {
  std::string field;    // request field, e.g. "prompt"
  int tokens = 0;       // tokens of the whole text, begin and end token included
  int kept_tokens = 0;  // tokens that the model sees
};

// What a finished generation yields, by its task and OutputRequest.
struct GenerationResult {
  std::optional<Image> image = std::nullopt;
  // Before the image decoder, or what the image encoder gives: [4, latent height, latent width].
  std::optional<FloatTensor> latents = std::nullopt;
  std::optional<FloatTensor> pixels = std::nullopt;  // [3, height, width] in about -1..1, not clamped
  // Of the embedding tasks: [Capabilities::embedding_dim], not normalised.
  std::optional<FloatTensor> embedding = std::nullopt;
  // EmbedPrompt: what the decoder's unconditional half would see.
  std::optional<FloatTensor> negative_embedding = std::nullopt;
  // EmbedText: [tokens of the window, embedding_dim].
  std::optional<FloatTensor> hidden_states = std::nullopt;
  std::vector<int64_t> token_ids = {};  // EmbedText: the whole window, padding included
};

// One image in the making, with all its state: latents, sampler, random generator, step index. Created by
// Pipeline::Admit, moved on by Pipeline::Step, used by one thread at a time.
class Generation {
 public:
  virtual ~Generation() = default;

  virtual Stage stage() const = 0;
  // Constant within a stage, but for kEncode, where each step runs another network.
  virtual const BatchKey& batch_key() const = 0;
  virtual StageProgress progress() const = 0;
  virtual StepCost step_cost() const = 0;
  // Steps that remain in all stages, the running one included.
  virtual int remaining_steps() const = 0;
  virtual const std::vector<PromptTokens>& prompt_tokens() const = 0;
  // A cheap small picture of the unfinished image, RGB; nothing outside Stage::kDenoise, or when the pipeline
  // has no previews. Runs no network.
  virtual std::optional<Image> Preview() const { return std::nullopt; }
  // Moves the result out. Only in Stage::kDone, once. An error concerns this generation alone (INTERNAL: its
  // latents are not finite); the others of its batches are not touched by it.
  virtual absl::StatusOr<GenerationResult> TakeResult() = 0;
};

// What a loaded pipeline can do; constant after loading.
struct Capabilities {
  std::string model_name;  // as configured
  std::string family;      // "2.2"
  std::string network;     // "decoder", "inpaint", "controlnet_depth"; "any": every task (simulated)
  std::string device;      // "cpu", "cuda:0"
  std::string dtype;       // "float32", "bfloat16", "float16"
  std::vector<SamplerKind> samplers;
  std::vector<std::string> adapters;  // names of the sets that requests may choose
  bool has_image_encoder = true;      // whether pictures can be embedded
  int embedding_dim = 1280;           // values of an image embedding
  int clip_image_size = 224;          // pixels, edge of the square pictures that are embedded
  bool clip_squeezes = false;         // whether they are squeezed into the square instead of cropped
  int latent_scale = 8;               // pixels per latent cell and side
  int size_multiple = 64;             // width and height must be multiples of it (pixels)
  int max_steps = 1000;               // denoise steps that the scheduler file allows
  int max_prior_steps = 1000;         // prior steps that the scheduler file allows
  int max_batch_rows = 0;             // 0: no limit known to the pipeline
  int64_t weight_bytes = 0;
};

// A loaded model on one device. Owned and called by one thread; weights may be shared with other pipelines.
class Pipeline {
 public:
  virtual ~Pipeline() = default;

  virtual const Capabilities& capabilities() const = 0;

  // Creates the generation of `request`: tokenizes, seeds the generator, plans the steps. Cheap, runs no
  // network. INVALID_ARGUMENT when the model cannot serve the request.
  virtual absl::StatusOr<std::unique_ptr<Generation>> Admit(const GenerationRequest& request) = 0;

  // One batched forward pass of the common stage. `batch` is not empty, its members are distinct, come from
  // this pipeline, share batch_key() and are not in Stage::kDone. On success every member has moved on by one
  // step. Errors concern the whole batch and leave its members unusable (they can only be destroyed), but the
  // pipeline stays usable: RESOURCE_EXHAUSTED when memory ran out (members are unchanged and may be stepped
  // again, in smaller batches), INTERNAL for anything else. UNAVAILABLE says that the pipeline is lost, e.g.
  // with its device: all its generations are then unusable, and it can only be destroyed.
  virtual absl::Status Step(absl::Span<Generation* const> batch) = 0;
};

// Makes a pipeline; called on the worker thread that will own it.
using PipelineFactory = std::function<absl::StatusOr<std::unique_ptr<Pipeline>>()>;

}  // namespace kandinsky
