#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "imaging/image.h"
#include "pipeline/float_tensor.h"

namespace kandinsky {

// What one generation makes, in native types; the server has decoded, resized and checked everything before
// it builds one. Pictures are shared and never change.
using InputImage = std::shared_ptr<const Image>;

// A place in CLIP's image space: what the vision tower or the prior gives, [Capabilities::embedding_dim], not
// normalised.
using ImageEmbedding = SharedFloatTensor;

// A picture whose CLIP embedding is wanted, already cropped (CropForClip) or squeezed: RGB,
// Capabilities::clip_image_size square; or the embedding itself.
using ImageOrEmbedding = std::variant<InputImage, ImageEmbedding>;

// A picture that denoising starts from. `strength` has diffusers' meaning (the original package's is the
// opposite): the share of the steps that is run, above 0 to 1 (nothing is left of it); steps x strength >= 1.
struct InitImage {
  InputImage image;  // RGB, width x height of the request
  double strength = 0.3;
};

// One alternative per task, so that no impossible combination can be built. The first five make images.
struct TextToImage {};
struct ImageToImage {
  InitImage init;
};
// Repaints a part of a picture.
struct Inpaint {
  InputImage image;  // RGB, width x height of the request
  // Grey, the same size; 255 is repainted, 0 is kept (diffusers' polarity since 0.19).
  InputImage mask;
  // Whether values between count, averaged over each latent cell, without the growth by a cell that binary
  // masks get; otherwise the mask is cut at one half, as diffusers does.
  bool soft = false;
  // Whether kept pixels are copied from `image` into the result; the autoencoder changes them slightly.
  bool paste_back = false;
  int feather = 0;  // pixels over which the copy fades at the edge of the repainted area
};
// Text, picture or embedding, by its weight: the image embedding is the weighted sum of all parts, which is
// not normalised. Weights may be negative.
struct MixPart {
  std::variant<std::string, InputImage, ImageEmbedding> content;  // pictures as in ImageOrEmbedding
  float weight = 1.0f;
};
struct Mix {
  std::vector<MixPart> parts;  // >= 1
};
// Follows the outlines of a depth map. Only for the network "controlnet_depth", which needs one.
struct ControlNet {
  SharedFloatTensor hint;  // [3, height, width], sides by HintEdge() (hint_size.h), 0 (far) to 1 (near)
  std::optional<InitImage> init;  // what to start from, if not from noise
};

// The others make no image but a result of one network; most fields of the request mean nothing to them.
struct EmbedText {};  // of the prompt -> embedding, hidden_states, token_ids
struct EmbedImage {   // -> embedding
  InputImage image;   // as in ImageOrEmbedding
};
struct EmbedPrompt {};  // the prior alone -> embedding, negative_embedding
// The image autoencoder alone -> latents.
struct EncodeLatents {
  std::variant<InputImage, SharedFloatTensor> image;  // RGB, or [3, height, width] in -1..1
};
// The same backwards -> image, or pixels.
struct DecodeLatents {
  SharedFloatTensor latents;  // [4, height, width] of the request, each divided by the latent scale
};

using Task = std::variant<TextToImage, ImageToImage, Inpaint, Mix, ControlNet, EmbedText, EmbedImage,
                          EmbedPrompt, EncodeLatents, DecodeLatents>;

// "text_to_image", "image_to_image", "inpaint", "mix", "control_net", "embed_text", "embed_image",
// "embed_prompt", "encode_latents", "decode_latents".
const char* TaskName(const Task& task);

// Whether the task denoises latents: one of the first five.
bool MakesImage(const Task& task);

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

// Which results a generation must produce. Leaving out image and pixels skips the decode stage.
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

// One image (or embedding) to make. A plain value.
struct GenerationRequest {
  // Unused (empty) with `image_embedding`, Mix, EmbedImage, EncodeLatents and DecodeLatents.
  std::string prompt;
  // Absent and empty differ, as in diffusers: with a text (also "") the prior runs for it too and its image
  // embedding is the negative one; without, the embedding of the zero image is. In Mix, and beside a
  // negative_prior_prompt, empty is as good as absent.
  std::optional<std::string> negative_prompt;
  // The original package's second negative: with it (also "") only the prior's unconditional pass sees this
  // text; negative_prompt, if not empty, gets a prior run of its own. In Mix all runs see it, and without a
  // negative_prompt its own embedding is the negative one.
  std::optional<std::string> negative_prior_prompt;
  std::optional<PriorStart> prior_start;  // not in Mix, and without negative_prior_prompt
  // Instead of what the prior makes of the prompts; null: made by it. The negative one alone replaces only
  // the negative embedding (the prior's random numbers stay as they are).
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
