#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace kandinsky {

// What the pipeline starts from. One alternative per task, so that an impossible combination of inputs cannot
// be built.
struct TextToImage {};
using Task = std::variant<TextToImage>;

// The algorithm that turns noise predictions into the next latents ("scheduler" in diffusers).
enum class SamplerKind {
  kModelDefault,  // what the model directory's scheduler file says (DDPM for the published 2.2 decoders)
  kDdpm,
  kDdim,
};

// Which results a generation must produce. Leaving out the image skips the decode stage.
struct OutputRequest {
  bool image = true;
  bool latents = false;
};

// One image to make, in native types; the server has checked every range before it builds one. A plain value.
struct GenerationRequest {
  std::string prompt;
  // Absent and empty differ, as in diffusers: with a text (also "") the prior runs for it too and its image
  // embedding is the negative one; without, the embedding of the zero image is.
  std::optional<std::string> negative_prompt;
  Task task = TextToImage{};
  int width = 512;                    // pixels, a multiple of Capabilities::size_multiple
  int height = 512;                   // pixels, a multiple of Capabilities::size_multiple
  int steps = 50;                     // denoise steps, >= 1
  float guidance_scale = 4.0f;        // <= 1 switches the unconditional pass off
  int prior_steps = 25;               // >= 2
  float prior_guidance_scale = 4.0f;  // <= 1 switches the unconditional pass off
  SamplerKind sampler = SamplerKind::kModelDefault;
  float eta = 0.0f;  // DDIM only: 0 deterministic, 1 as much noise as DDPM
  // Seeds this image's own CPU generator; the noise of prior and decoder is drawn from it in diffusers'
  // order.
  uint64_t seed = 0;
  OutputRequest output;
  // Denoise steps from one preview to the next; 0: no previews.
  int preview_every_steps = 0;
  // Whether a text longer than the tokenizer's window ends the request (INVALID_ARGUMENT, by the engine)
  // instead of being cut.
  bool strict_prompt = false;
};

}  // namespace kandinsky
