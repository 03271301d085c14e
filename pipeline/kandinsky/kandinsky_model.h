#pragma once

#include <torch/types.h>

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "pipeline/kandinsky/adapted_networks.h"
#include "pipeline/kandinsky/kandinsky_generation.h"
#include "pipeline/kandinsky/load_kandinsky.h"
#include "pipeline/kandinsky22/request_plan.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/samplers/noise_schedule.h"
#include "pipeline/tokenizers/clip_tokenizer.h"

namespace kandinsky {

// What the scheduler file of a network that denoises says.
struct DecoderSampling {
  SamplerConfig config;
  SamplerKind default_sampler = SamplerKind::kDdpm;  // the class that it names
};

// The loaded weights and constants of one Kandinsky 2.2 model on one device. Immutable after loading and
// shared by the pipelines of the device: forward passes may run concurrently.
struct KandinskyModel {
  Capabilities capabilities;
  std::shared_ptr<const ClipTokenizer> tokenizer;
  std::shared_ptr<const ClipTextModelWithProjection> text_encoder;
  std::shared_ptr<const ClipVisionModelWithProjection>
      image_encoder;                                // null when pictures cannot be embedded
  AdaptedNetworks networks;                         // of requests without adapters
  std::map<std::string, AdaptedNetworks> adapters;  // of the others, by the name that they choose
  std::shared_ptr<const VQModel> movq;
  SamplerConfig prior_sampler;                      // of the prior's scheduler file
  std::map<std::string, DecoderSampling> sampling;  // by Capabilities::networks
  // CLIP embedding of an all-zero pixel tensor, [1, embedding_dim]: the negative image embedding when no
  // negative prompt is given. diffusers recomputes this constant at every call (get_zero_embed).
  torch::Tensor zero_image_embedding;
  // By which pictures are normalised for the image encoder, [3] each.
  torch::Tensor clip_mean;
  torch::Tensor clip_std;
  int latent_scale = 8;         // pixels per latent cell and side
  torch::Tensor latent_to_rgb;  // [5, 3], of FitLatentToRgb; for previews
  StepMemory step_memory;
};

// Loads from a published-layout directory pair. Errors as LoadKandinsky.
absl::StatusOr<std::shared_ptr<const KandinskyModel>> LoadKandinskyModel(const PipelineOptions& options);

}  // namespace kandinsky
