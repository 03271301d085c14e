#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "pipeline/components/component_loader.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/components/published_networks.h"
#include "pipeline/weights/model_directory.h"

namespace kandinsky::training {

// Builds the module of a network's configuration file and loads its weights in float32. `parse` is the
// function of model_configs.h. With `copied` the weights may be written to; otherwise they may be the file's.
template <typename Module, typename Parse>
absl::StatusOr<std::shared_ptr<Module>> LoadNetwork(const NetworkFiles& files, Parse parse,
                                                    bool copied = false) {
  ASSIGN_OR_RETURN(const auto config, parse(files.config.path, files.config.json));
  ComponentLoader loader;
  const auto module = loader.Add<Module>(config, files, {.prepare = false, .writable = copied});
  RETURN_IF_ERROR(loader.Load());
  return module;
}

// The text side of the prior.
struct FrozenTextEncoder {
  std::shared_ptr<const TextEncoder> encoder;
  int window = 0;  // tokens of every text, padding included
};
absl::StatusOr<FrozenTextEncoder> LoadTextEncoder(const PriorFiles& files);

// The image encoder and how images are prepared for it.
struct FrozenImageEncoder {
  std::shared_ptr<const ImageEncoder> encoder;
  int image_size = 0;            // pixels
  bool squeezes = false;         // images into the square, instead of cropping them
  torch::Tensor zero_embedding;  // [1, E] of an all-zero tensor: what "no image" is for the decoder
};
absl::StatusOr<FrozenImageEncoder> LoadImageEncoder(const PriorFiles& files);

}  // namespace kandinsky::training
