#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "pipeline/components/component_loader.h"
#include "pipeline/kandinsky/model_configs.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/tokenizers/clip_tokenizer.h"
#include "pipeline/weights/model_directory.h"

namespace kandinsky {

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

// The text side of the prior: tokens and the text tower.
struct TextNetworks {
  std::shared_ptr<const ClipTokenizer> tokenizer;
  std::shared_ptr<const ClipTextModelWithProjection> tower;
};
absl::StatusOr<TextNetworks> LoadTextNetworks(const PriorFiles& files);

// The vision tower and how pictures are prepared for it.
struct VisionNetwork {
  std::shared_ptr<const ClipVisionModelWithProjection> tower;
  int image_size = 0;            // pixels
  bool squeezes = false;         // pictures into the square, instead of cropping them
  torch::Tensor mean;            // [3]
  torch::Tensor std;             // [3]
  torch::Tensor zero_embedding;  // [1, E] of an all-zero tensor: what "no picture" is for the decoder
};
absl::StatusOr<VisionNetwork> LoadVisionNetwork(const PriorFiles& files);

}  // namespace kandinsky
