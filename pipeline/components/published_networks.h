#pragma once

#include <memory>

#include "pipeline/components/model_configs.h"
#include "pipeline/device/placement.h"
#include "pipeline/diffusion/autoencoder.h"
#include "pipeline/diffusion/denoiser.h"
#include "pipeline/diffusion/image_encoder.h"
#include "pipeline/diffusion/prior.h"
#include "pipeline/diffusion/text_encoder.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/tokenizers/clip_tokenizer.h"

namespace kandinsky {

// The published networks behind the interfaces of the diffusion core, for every family that has them. The
// modules are loaded and lie where `placement` says.

// CLIP's text tower: pooled is its text embedding.
std::shared_ptr<const TextEncoder> MakeTextEncoder(std::shared_ptr<const ClipTokenizer> tokenizer,
                                                   std::shared_ptr<const ClipTextModelWithProjection> tower,
                                                   const Placement& placement);

// CLIP's vision tower, for images that are prepared as `processor` says.
std::shared_ptr<const ImageEncoder> MakeImageEncoder(
    std::shared_ptr<const ClipVisionModelWithProjection> tower, const ClipProcessorConfig& processor,
    const Placement& placement);

// The diffusion prior of Kandinsky 2.1 and 2.2. Computes what the text contributes once per text.
std::shared_ptr<const Prior> MakePrior(std::shared_ptr<const PriorTransformer> transformer,
                                       const Placement& placement);

// The U-Net of Kandinsky 2.2, which reads image embeddings alone.
std::shared_ptr<const Denoiser> MakeDenoiser(std::shared_ptr<const UNet2DConditionModel> unet,
                                             const Placement& placement);

// MOVQ, whose latents are not scaled.
std::shared_ptr<const Autoencoder> MakeAutoencoder(std::shared_ptr<const VQModel> movq,
                                                   const VQModelConfig& config, const Placement& placement);

}  // namespace kandinsky
