#pragma once

#include <torch/types.h>

#include <map>
#include <memory>
#include <string>

#include "pipeline/device/placement.h"
#include "pipeline/diffusion/adapted_networks.h"
#include "pipeline/diffusion/autoencoder.h"
#include "pipeline/diffusion/conditioner.h"
#include "pipeline/diffusion/image_encoder.h"
#include "pipeline/diffusion/text_encoder.h"
#include "pipeline/family.h"
#include "pipeline/model.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// What the scheduler file of a network that denoises says.
struct DecoderSampling {
  SamplerConfig config;
  SamplerKind default_sampler = SamplerKind::kDdpm;  // the class that it names
};

// The loaded parts of one model on one device: all that the stages see. A family fills it; what it has none
// of stays null. Immutable after loading and shared by the pipelines of the device: forward passes may run
// concurrently.
struct DiffusionModel {
  Capabilities capabilities;
  Placement placement;
  std::shared_ptr<const Family> family;
  std::shared_ptr<const Conditioner> conditioner;
  std::map<std::string, std::shared_ptr<const TextEncoder>> text_encoders;  // by BatchKey::network
  std::shared_ptr<const ImageEncoder> image_encoder;  // null when images cannot be embedded
  AdaptedNetworks networks;                           // of requests without adapters
  std::map<std::string, AdaptedNetworks> adapters;    // of the others, by the name that they choose
  std::shared_ptr<const Autoencoder> autoencoder;
  SamplerConfig prior_sampler;                      // of the prior's scheduler file
  std::map<std::string, DecoderSampling> sampling;  // by Capabilities::networks
  // Embedding of an all-zero pixel tensor, [1, embedding_dim]: the negative image embedding when no negative
  // prompt is given. diffusers recomputes this constant at every call (get_zero_embed).
  torch::Tensor zero_image_embedding;
  torch::Tensor latent_to_rgb;  // of FitLatentToRgb, for previews; undefined: none
};

// A model of these parts. Its pipelines run on the parts' device with `threads` compute threads each, >= 1.
std::shared_ptr<const Model> MakeModel(std::shared_ptr<const DiffusionModel> parts, int threads);

}  // namespace kandinsky
