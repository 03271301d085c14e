#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "imaging/image.h"
#include "pipeline/float_tensor.h"

namespace kandinsky {

// What one sample makes, in native types; Model::Check says what of it a model serves. Images have been
// decoded and resized; they are shared and never change.
using InputImage = std::shared_ptr<const Image>;

// A place in CLIP's image space: what the vision tower or the prior gives, [Capabilities::embedding_dim], not
// normalized.
using ImageEmbedding = SharedFloatTensor;

// An image whose CLIP embedding is wanted, already cropped (CropForClip) or squeezed: RGB,
// Capabilities::clip_image_size square; or the embedding itself.
using ImageOrEmbedding = std::variant<InputImage, ImageEmbedding>;

// An image that denoising starts from. `strength` has diffusers' meaning (the original package's is the
// opposite): the share of the steps that is run, above 0 to 1 (nothing is left of it); steps x strength >= 1.
struct InitImage {
  InputImage image;  // RGB, width x height of the request
  double strength = 0.3;
};

// One alternative per task, so that no impossible combination can be built. The first four make images: they
// say what denoising starts from and sees, not what the image embedding is made of.
struct TextToImage {};  // starts from noise
struct ImageToImage {
  InitImage init;
};

// Repaints a part of an image.
struct Inpaint {
  InputImage image;  // RGB, width x height of the request
  // Gray, the same size; 255 is repainted, 0 is kept (diffusers' polarity since 0.19).
  InputImage mask;
  // Whether values between count, averaged over each latent cell, without the growth by a cell that binary
  // masks get; otherwise the mask is cut at one half, as diffusers does.
  bool soft = false;
  // Whether kept pixels are copied from `image` into the result; the autoencoder changes them slightly.
  bool paste_back = false;
  int feather = 0;  // pixels over which the copy fades at the edge of the repainted area
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
struct EmbedPrompt {};  // of the prompt or the mix -> embedding, negative_embedding
// The image autoencoder alone -> latents.
struct EncodeLatents {
  std::variant<InputImage, SharedFloatTensor> image;  // RGB, or [3, height, width] in -1..1
};
// The same backwards -> image, or pixels.
struct DecodeLatents {
  SharedFloatTensor latents;  // [4, height, width] of the request, each divided by the latent scale
};

using Task = std::variant<TextToImage, ImageToImage, Inpaint, ControlNet, EmbedText, EmbedImage, EmbedPrompt,
                          EncodeLatents, DecodeLatents>;

// "text_to_image", "image_to_image", "inpaint", "control_net", "embed_text", "embed_image", "embed_prompt",
// "encode_latents", "decode_latents".
const char* TaskName(const Task& task);

// Whether the task denoises latents: one of the first four.
bool MakesImage(const Task& task);

}  // namespace kandinsky
