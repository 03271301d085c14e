#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/kandinsky22/networks/load_kandinsky22.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/weights/model_directory.h"

namespace kandinsky {

// The opened files of one model: a prior and the decoders for it, each of another network and all with the
// same image autoencoder.
struct ModelFiles {
  ModelDirectory first;
  std::vector<DecoderFiles> further;

  // The first and the further ones; valid as long as this object.
  std::vector<const DecoderFiles*> decoders() const;
};

// INVALID_ARGUMENT also for two decoders of one network, and for another autoencoder than the first one's.
absl::StatusOr<ModelFiles> OpenModelFiles(const PipelineOptions& options);

// The configurations of the networks.
struct NetworkConfigs {
  ClipTextConfig text;
  ClipVisionConfig vision;
  PriorTransformerConfig prior;
  std::map<std::string, UNet2DConditionConfig> unets;  // by Capabilities::networks
  VQModelConfig movq;
};

// Each by itself; INVALID_ARGUMENT naming file and key.
absl::StatusOr<NetworkConfigs> ParseConfigs(const ModelFiles& files);

}  // namespace kandinsky
