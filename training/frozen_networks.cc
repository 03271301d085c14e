#include "training/frozen_networks.h"

#include <ATen/ATen.h>

namespace kandinsky::training {

absl::StatusOr<FrozenTextEncoder> LoadTextEncoder(const PriorFiles& files) {
  ASSIGN_OR_RETURN(const auto tokenizer, ClipTokenizer::Load(files.tokenizer_folder));
  ASSIGN_OR_RETURN(const auto tower,
                   LoadNetwork<ClipTextModelWithProjection>(files.text_encoder, ParseClipTextConfig));
  return FrozenTextEncoder{MakeTextEncoder(tokenizer, tower, Placement()), tokenizer->max_length()};
}

absl::StatusOr<FrozenImageEncoder> LoadImageEncoder(const PriorFiles& files) {
  ASSIGN_OR_RETURN(const auto tower,
                   LoadNetwork<ClipVisionModelWithProjection>(files.image_encoder, ParseClipVisionConfig));
  ASSIGN_OR_RETURN(const ClipProcessorConfig processor,
                   ParseClipProcessorConfig(files.image_processor.path, files.image_processor.json));
  const at::NoGradGuard no_grad;
  return FrozenImageEncoder{.encoder = MakeImageEncoder(tower, processor, Placement()),
                            .image_size = processor.image_size,
                            .squeezes = processor.squeezes,
                            .zero_embedding = tower->forward(
                                Placement().Zeros({1, 3, processor.image_size, processor.image_size}))};
}

}  // namespace kandinsky::training
