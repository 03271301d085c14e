#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/spatial_norm.h"
#include "pipeline/models/vq_blocks.h"

namespace kandinsky {

// Configuration of VQModel: the published JSON names with the values of the published MOVQ. A plain value.
struct VQModelConfig {
  std::string act_fn = "silu";
  std::vector<int64_t> block_out_channels = {128, 256, 256, 512};
  std::vector<std::string> down_block_types = {"DownEncoderBlock2D", "DownEncoderBlock2D",
                                               "DownEncoderBlock2D", "AttnDownEncoderBlock2D"};
  bool force_upcast = false;  // without effect
  int64_t in_channels = 3;
  int64_t latent_channels = 4;
  int64_t layers_per_block = 2;
  bool lookup_from_codebook = false;
  bool mid_block_add_attention = true;
  int64_t norm_num_groups = 32;
  std::string norm_type = "spatial";  // of the decoder: "spatial" or "group"
  int64_t num_vq_embeddings = 16384;
  int64_t out_channels = 3;
  int64_t sample_size = 32;         // without effect
  double scaling_factor = 0.18215;  // without effect: MOVQ latents are not scaled
  std::vector<std::string> up_block_types = {"AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D",
                                             "UpDecoderBlock2D"};
  int64_t vq_embed_dim = 0;  // 0 (null): latent_channels

  // INVALID_ARGUMENT naming the key and the value that is not supported.
  absl::Status Validate() const;

  // Pixels per latent position, along each axis.
  int64_t DownsamplingFactor() const { return int64_t{1} << (block_out_channels.size() - 1); }
};

// Pixels -> features of the latent grid ("Encoder").
class VQEncoder : public torch::nn::Module {
 public:
  explicit VQEncoder(const VQModelConfig& config);
  torch::Tensor forward(const torch::Tensor& pixels) const;

  std::shared_ptr<Conv2d> conv_in;
  std::shared_ptr<TypedModuleList<AutoencoderBlock>> down_blocks;
  std::shared_ptr<AutoencoderMidBlock> mid_block;
  std::shared_ptr<GroupNorm> conv_norm_out;
  std::shared_ptr<Conv2d> conv_out;
};

// Features of the latent grid and the raw latents, which the spatial norms read, -> pixels ("Decoder").
class VQDecoder : public torch::nn::Module {
 public:
  explicit VQDecoder(const VQModelConfig& config);
  torch::Tensor forward(const torch::Tensor& features, const torch::Tensor& latents) const;

  std::shared_ptr<Conv2d> conv_in;
  std::shared_ptr<AutoencoderMidBlock> mid_block;
  std::shared_ptr<TypedModuleList<AutoencoderBlock>> up_blocks;
  AutoencoderNorm conv_norm_out;
  std::shared_ptr<Conv2d> conv_out;
};

// MOVQ, the image autoencoder of Kandinsky 2.1 and 2.2 ("VQModel"). Latents are neither quantized nor scaled;
// the codebook only exists in the published files.
class VQModel : public torch::nn::Module {
 public:
  // `config` passes Validate().
  explicit VQModel(const VQModelConfig& config);

  // pixels [N, in_channels, H, W] in -1..1, H and W multiples of DownsamplingFactor() ->
  // latents [N, vq_embed_dim, h, w].
  torch::Tensor encode(const torch::Tensor& pixels) const;

  // latents [N, vq_embed_dim, h, w] -> pixels [N, out_channels, H, W], about -1..1, not clamped.
  torch::Tensor decode(const torch::Tensor& latents) const;

  std::shared_ptr<VQEncoder> encoder;
  std::shared_ptr<Conv2d> quant_conv;
  std::shared_ptr<torch::nn::Module> quantize;
  std::shared_ptr<Embedding> embedding;  // the unused codebook
  std::shared_ptr<Conv2d> post_quant_conv;
  std::shared_ptr<VQDecoder> decoder;
};

}  // namespace kandinsky
