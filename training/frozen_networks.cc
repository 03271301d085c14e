#include "training/frozen_networks.h"

#include <ATen/ATen.h>

namespace kandinsky {

absl::StatusOr<TextNetworks> LoadTextNetworks(const PriorFiles& files) {
  TextNetworks networks;
  ASSIGN_OR_RETURN(networks.tokenizer, ClipTokenizer::Load(files.tokenizer_folder));
  ASSIGN_OR_RETURN(networks.tower,
                   LoadNetwork<ClipTextModelWithProjection>(files.text_encoder, ParseClipTextConfig));
  return networks;
}

absl::StatusOr<VisionNetwork> LoadVisionNetwork(const PriorFiles& files) {
  VisionNetwork network;
  ASSIGN_OR_RETURN(network.tower,
                   LoadNetwork<ClipVisionModelWithProjection>(files.image_encoder, ParseClipVisionConfig));
  ASSIGN_OR_RETURN(const ClipProcessorConfig processor,
                   ParseClipProcessorConfig(files.image_processor.path, files.image_processor.json));
  network.image_size = processor.image_size;
  network.squeezes = processor.squeezes;
  network.mean = torch::tensor(at::ArrayRef<float>(processor.image_mean));
  network.std = torch::tensor(at::ArrayRef<float>(processor.image_std));
  const at::NoGradGuard no_grad;
  network.zero_embedding = network.tower->forward(at::zeros({1, 3, network.image_size, network.image_size}));
  return network;
}

}  // namespace kandinsky
