#pragma once

#include <torch/nn/module.h>

#include "absl/status/status.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {

// How a file of low-rank adapters is used.
struct LoraUse {
  double scale = 1.0;
  // The same file is given to the model's other network as well: keys that begin with the other's name are
  // left to it. `network` is this one's: "unet" or "prior".
  bool shared = false;
  const char* network = "unet";
};

// Replaces the adapted weights of `module` by W + scale * alpha / rank * up down; other weights stay. Keys as
// ParseLoraKey reads them, of linear layers, with or without "unet." or "prior." before them; alpha is that
// of the file, or of its metadata (LoraMetadata), or else the rank. All or nothing: INVALID_ARGUMENT, naming
// file and key, for a key of another form (the message lists the forms), half a pair, a layer that the module
// lacks, a shape that does not fit, and for factors or resulting weights with NaN or infinity; nothing is
// left out silently.
absl::Status MergeLora(torch::nn::Module& module, const Checkpoint& checkpoint, const LoraUse& use = {});

}  // namespace kandinsky
