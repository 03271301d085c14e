#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/task.h"

namespace kandinsky {

// The algorithm that turns noise predictions into the next latents ("scheduler" in diffusers).
enum class SamplerKind {
  kModelDefault,  // what the model directory's scheduler file says (DDPM for the published 2.2 decoders)
  kDdpm,
  kDdim,
  kDdpmLearnedRange,  // DDPM with the variance that the U-Net predicts
  kEuler,
  kEulerAncestral,
  kDpmSolverMultistep,  // DPM-Solver++ 2M
};

// Which results a sample must produce. Leaving out image and pixels skips the decode stage.
struct OutputRequest {
  bool image = true;
  bool latents = false;
  bool pixels = false;  // the image before it is rounded to 8 bits
};

// Starts the prior from an image embedding instead of noise (KandinskyV22PriorEmb2EmbPipeline of diffusers).
struct PriorStart {
  ImageOrEmbedding from;
  double strength = 0.3;  // share of the prior steps that is run, above 0 to 1; prior_steps x strength >= 1
};

// Text, image or embedding, by its weight, which may be negative.
struct MixPart {
  std::variant<std::string, InputImage, ImageEmbedding> content;  // images as in ImageOrEmbedding
  float weight = 1.0f;
};

// The image embedding as the weighted sum of those of all parts, not normalized (interpolate of diffusers'
// KandinskyV22PriorPipeline).
struct Mix {
  std::vector<MixPart> parts;  // >= 1
};

// One image (or embedding) to make. A plain value. Where the image embedding comes from and what `task`
// starts from are independent.
struct GenerationRequest {
  // Unused (empty) with `mix`, `image_embedding`, EmbedImage, EncodeLatents and DecodeLatents.
  std::string prompt;
  // Absent and empty differ, as in diffusers: with a text (also "") the prior runs for it too and its image
  // embedding is the negative one; without, the embedding of the zero image is. With `mix`, and beside a
  // negative_prior_prompt, empty is as good as absent.
  std::optional<std::string> negative_prompt;
  // The original package's second negative: with it (also "") only the prior's unconditional pass sees this
  // text; negative_prompt, if not empty, gets a prior run of its own. With `mix` all runs see it, and without
  // a negative_prompt its own embedding is the negative one.
  std::optional<std::string> negative_prior_prompt;
  std::optional<PriorStart> prior_start;  // without `mix`, `image_embedding` and negative_prior_prompt
  std::optional<Mix> mix;                 // instead of the prompt
  // Instead of prompt and mix; null: made of them. The negative one alone replaces only the negative
  // embedding (the prior's random numbers stay as they are).
  ImageEmbedding image_embedding;
  ImageEmbedding negative_image_embedding;
  std::string adapter;  // one of Capabilities::adapters, to make images or for EmbedPrompt; empty: none
  Task task = TextToImage{};
  int width = 512;  // pixels, as height a multiple of Capabilities::size_multiple
  int height = 512;
  int steps = 50;                     // denoise steps, >= 1
  float guidance_scale = 4.0f;        // <= 1 switches the unconditional pass off
  int prior_steps = 25;               // >= 2
  float prior_guidance_scale = 4.0f;  // <= 1 switches the unconditional pass off
  SamplerKind sampler = SamplerKind::kModelDefault;
  float eta = 0.0f;  // DDIM only: 0 deterministic, 1 as much noise as DDPM
  // Seeds this image's own CPU generator; prior and decoder draw their noise from it in diffusers' order.
  uint64_t seed = 0;
  OutputRequest output;
  int preview_every_steps = 0;  // denoise steps from one preview to the next; 0: no previews
  // Whether a text beyond the tokenizer's window is refused (INVALID_ARGUMENT, by the engine) instead of cut.
  bool strict_prompt = false;
};

}  // namespace kandinsky
