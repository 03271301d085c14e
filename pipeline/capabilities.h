#pragma once

#include <climits>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "pipeline/generation_request.h"

namespace kandinsky {

// What a request gets where it does not say otherwise.
struct RequestDefaults {
  int width = 512;  // pixels
  int height = 512;
  int steps = 50;
  float guidance_scale = 4.0f;
  int prior_steps = 25;
  float prior_guidance_scale = 4.0f;
};

// How much of a text a network reads.
struct TextWindow {
  std::string network;  // as BatchKey::network names it
  int tokens = 0;       // begin and end token included

  friend bool operator==(const TextWindow&, const TextWindow&) = default;
};

// What a loaded model can do; constant after loading.
struct Capabilities {
  std::string model_name;  // as configured
  std::string family;      // "2.2"
  // Networks that denoise, of "decoder", "inpaint" and "controlnet_depth".
  std::vector<std::string> networks = {};
  std::string device;  // "cpu", "cuda:0"
  std::string dtype;   // "float32", "bfloat16", "float16"
  std::vector<SamplerKind> samplers;
  std::vector<std::string> adapters;  // names of the sets that requests may choose
  bool has_prior = true;              // whether requests are about image embeddings at all
  bool has_image_encoder = true;      // whether images can be embedded
  int embedding_dim = 1280;           // values of an image embedding
  int clip_image_size = 224;          // pixels, edge of the square images that are embedded
  bool clip_squeezes = false;         // whether they are squeezed into the square instead of cropped
  int latent_scale = 8;               // pixels per latent cell and side
  int size_multiple = 64;             // width and height must be multiples of it (pixels)
  int max_steps = 1000;               // denoise steps that the scheduler file allows
  int max_prior_steps = 1000;         // prior steps that the scheduler file allows
  int max_mix_parts = 16;             // texts, images and embeddings that can be mixed, whatever the task
  int max_batch_rows = 0;             // 0: no limit known to the model
  int64_t weight_bytes = 0;
  RequestDefaults defaults = {};
  // What longer texts are cut to.
  std::vector<TextWindow> text_windows = {{.network = "text_encoder", .tokens = 77}};
};

// Limits of an operator, on top of those of the model. Without values they allow what the model does.
struct RequestLimits {
  int max_size = INT_MAX;  // width and height, pixels; the smallest size of the model is always allowed
  int max_steps = INT_MAX;
  int max_prior_steps = INT_MAX;
  // Area in megapixels x denoise steps that run, of all `images` that are asked for together.
  double max_megapixel_steps = std::numeric_limits<double>::infinity();
  int images = 1;
};

// Whether width and height may be `edge` pixels.
bool AllowsSize(const Capabilities& capabilities, const RequestLimits& limits, int64_t edge);

// "must be a multiple of 64 from 64 to 2048 pixels".
std::string SizeRule(const Capabilities& capabilities, const RequestLimits& limits);

// A request that gives no values: the model's defaults, as far as model and operator allow them.
GenerationRequest DefaultRequest(const Capabilities& capabilities, const RequestLimits& limits);

// The network that denoises for the task, as Capabilities::networks names it; null for tasks that make no
// image, which every model offers.
const char* NetworkOf(const Task& task);

// "decoder, inpaint"; "none" without any.
std::string NetworkNames(const Capabilities& capabilities);

// Whether a model with these capabilities offers the task.
bool Offers(const Capabilities& capabilities, const Task& task);

// Returns the names of the tasks that it offers (TaskName), in the order of Task; those that embed nothing
// but images only with an image encoder.
std::vector<std::string> OfferedTasks(const Capabilities& capabilities);

// Whether it has a set of adapters of that name.
bool HasAdapter(const Capabilities& capabilities, const std::string& adapter);

// Whether it offers the set of adapters `adapter` for the task, which must run prior or U-Net; without any
// (empty) always.
bool OffersAdapter(const Capabilities& capabilities, const Task& task, const std::string& adapter);

}  // namespace kandinsky
