#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/model.h"

namespace kandinsky {

// A set of low-rank adapters (MergeLora) that requests choose by its name.
struct AdapterOptions {
  std::string name = {};
  // As in PipelineOptions; at least one of them.
  std::string unet_lora_path = {};
  std::string prior_lora_path = {};
  double scale = 1.0;
};

// Where a Kandinsky 2.2 model lies and how to run it. This header is free of torch, so that main.cc can wire
// the implementation into the server.
struct PipelineOptions {
  std::string model_name = {};  // as clients address it
  // Published layout: the decoder directory (unet/, movq/, scheduler/), or a folder that holds prior/ and
  // decoder/; in the latter case prior_path is empty.
  std::string model_path = {};
  std::string prior_path = {};
  // Decoder directories with further networks (inpaint, depth) for the same prior and autoencoder, which they
  // share. Those that lie as inpaint/ and depth/ beside prior/ and decoder/ are found without being named.
  std::vector<std::string> network_paths = {};
  // Whether images can be embedded (mixing, embedding, a prior that starts from an image). The vision
  // tower is the largest part of the published model, and is needed for nothing else.
  bool keep_image_encoder = true;
  // Low-rank adapters (MergeLora) of the decoder's U-Net and of the prior, merged into the weights at load;
  // empty: none. Both with the strength `lora_scale`.
  std::string unet_lora_path = {};
  std::string prior_lora_path = {};
  double lora_scale = 1.0;
  // Names differ. They come on top of the adapters above. Each takes the memory of the weights that it
  // changes.
  std::vector<AdapterOptions> adapters = {};
  // Where the networks lie and in which type they compute, as ParsePlacement takes them.
  std::string device = "cpu";
  std::string dtype = "float32";
  int threads = 0;  // compute threads of each replica; 0: an equal share of the process's CPU quota
};

// Loads the weights, which the pipelines of `replicas` workers share. Takes seconds for a full-size model.
// NOT_FOUND or INVALID_ARGUMENT, naming file and tensor, for a broken model directory.
absl::StatusOr<LoadedModel> LoadKandinsky(const PipelineOptions& options, int replicas);

}  // namespace kandinsky
