#include "tools/tiny_model.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <exception>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/models/clip_text_model.h"
#include "pipeline/models/clip_vision_model.h"
#include "pipeline/models/layers.h"
#include "pipeline/models/prior_transformer.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "pipeline/models/vq_model.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {
namespace {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// Fills the parameters of one network after the other from one stream of random numbers.
class Randomizer {
 public:
  explicit Randomizer(uint64_t seed) : generator_(at::detail::createCPUGenerator(seed)) {}

  torch::Tensor Normal(c10::IntArrayRef shape) { return torch::randn(shape, generator_); }

  // Weights keep the variance of their inputs, norms are near the identity.
  void Fill(torch::nn::Module& module) {
    const std::set<std::string> norms = NamesOfNorms(module);
    for (auto& parameter : module.named_parameters()) {
      const std::string& name = parameter.key();
      torch::Tensor& tensor = parameter.value();
      const torch::Tensor noise = Normal(tensor.sizes());
      const std::string owner = name.substr(0, name.find_last_of('.'));
      if (norms.contains(owner)) {
        tensor.copy_(0.1 * noise + (absl::EndsWith(name, "weight") ? 1.0 : 0.0));
      } else if (absl::EndsWith(name, "bias")) {
        tensor.copy_(0.1 * noise);
      } else if (absl::EndsWith(name, "embedding") || absl::EndsWith(name, "embedding.weight")) {
        tensor.copy_(0.5 * noise);
      } else {
        tensor.copy_(noise / std::sqrt(static_cast<double>(tensor[0].numel())));
      }
    }
  }

 private:
  static std::set<std::string> NamesOfNorms(torch::nn::Module& module) {
    std::set<std::string> names;
    for (const auto& child : module.named_modules("", /*include_self=*/false)) {
      if (child.value()->as<GroupNorm>() != nullptr || child.value()->as<LayerNorm>() != nullptr) {
        names.insert(child.key());
      }
    }
    return names;
  }

  at::Generator generator_;
};

// Makes the last token listen to the text, and the statistics of the embedding anything but 0 and 1.
void ShapePrior(PriorTransformer& prior, Randomizer& randomizer) {
  for (const auto& block : *prior.transformer_blocks) {
    block->attn1->to_v->weight.mul_(2.0);
    (*block->attn1->to_out)[0].weight.mul_(2.0);
  }
  prior.clip_mean.copy_(0.3 * randomizer.Normal(prior.clip_mean.sizes()));
  prior.clip_std.copy_(0.5 + 0.3 * randomizer.Normal(prior.clip_std.sizes()).abs());
}

// Gives the U-Net a path from input to output, so that the predicted noise is the normalized input plus what
// the rest of the network adds. A random network without one blows rounding errors up from step to step.
//
// Channels 2c and 2c + 1 of conv_in carry +x_c and -x_c. The last residual block gets them as its skip
// connection, and its shortcut passes them on. They are one group of conv_norm_out, and SiLU(v) - SiLU(-v) =
// v undoes the activation, so that conv_out finds x_c again.
void ShapeUNet(UNet2DConditionModel& unet) {
  constexpr int64_t latents = 4;  // further channels (mask, hint) are not carried
  const int64_t base = unet.conv_in->weight.size(0);
  const int64_t carried = 2 * latents;
  const auto& last_block = *unet.up_blocks->end()[-1];
  const ResnetBlock2D& last = *last_block.resnets->end()[-1];
  for (const torch::Tensor& tensor :
       {unet.conv_in->weight, unet.conv_in->bias, last.conv2->weight, last.conv2->bias,
        last.conv_shortcut->weight, last.conv_shortcut->bias}) {
    tensor.narrow(0, 0, carried).mul_(0.1);
  }
  unet.conv_out->weight.mul_(0.2);
  for (int64_t channel = 0; channel < carried; ++channel) {
    const int64_t latent = channel / 2;
    const double sign = channel % 2 == 0 ? 1.0 : -1.0;
    unet.conv_in->weight[channel][latent][1][1] += sign;
    last.conv_shortcut->weight[channel][base + channel][0][0] += 1.0;
    unet.conv_out->weight[latent][channel][1][1] += 0.8 * sign;
  }
}

// Spatial norms that scale by about 1, and images that use the range without much clipping.
void ShapeMovq(VQModel& movq, Randomizer& randomizer) {
  for (auto& parameter : movq.named_parameters()) {
    const std::string& name = parameter.key();
    if (absl::EndsWith(name, "conv_y.bias")) parameter.value().add_(1.0);
    if (absl::EndsWith(name, "conv_y.weight") || absl::EndsWith(name, "conv_b.weight")) {
      parameter.value().mul_(0.5);
    }
  }
  const torch::Tensor pixels = movq.decode(0.7 * randomizer.Normal({2, 4, 16, 16}));
  // Rounded to a power of two: the last bits of a decoded image differ between processors.
  const double spread = pixels.std().item<double>();
  movq.decoder->conv_out->weight.mul_(std::exp2(std::round(std::log2(0.45 / spread))));
}

NamedTensors TensorsOf(const torch::nn::Module& module) {
  NamedTensors tensors;
  for (const auto& parameter : module.named_parameters())
    tensors.emplace_back(parameter.key(), parameter.value());
  return tensors;
}

// As published: in half precision.
NamedTensors InHalfPrecision(NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.to(torch::kHalf);
  return tensors;
}

// As published: CLIP towers come with the positions 0..count-1 as a tensor that models do not have.
NamedTensors WithPositionIds(NamedTensors tensors, const std::string& name, int64_t count) {
  tensors.emplace_back(name, torch::arange(count).reshape({1, count}));
  return tensors;
}

// Writes into one folder and stops at the first error.
class ModelWriter {
 public:
  explicit ModelWriter(std::string folder) : folder_(std::move(folder)) {}

  absl::Status WriteText(const TinyModelFile& file) {
    ASSIGN_OR_RETURN(const std::string path, MakePath(file.path));
    return WriteFileAtomically(path, file.content);
  }
  absl::Status WriteTensors(const std::string& name, const NamedTensors& tensors) {
    ASSIGN_OR_RETURN(const std::string path, MakePath(name));
    return WriteSafetensors(path, tensors);
  }

 private:
  absl::StatusOr<std::string> MakePath(const std::string& name) {
    const std::filesystem::path path = std::filesystem::path(folder_) / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error)
      return absl::InternalError(
          absl::StrCat("cannot make ", path.parent_path().string(), ": ", error.message()));
    return path.string();
  }

  const std::string folder_;
};

absl::Status WritePriorNetworks(TinyNetwork network, ModelWriter& writer, Randomizer& randomizer) {
  const std::string text_path = "prior/text_encoder/config.json";
  ASSIGN_OR_RETURN(const ClipTextConfig text,
                   ParseClipTextConfig(text_path, TinyModelConfig(network, text_path)));
  ClipTextModelWithProjection text_encoder(text);
  randomizer.Fill(text_encoder);
  RETURN_IF_ERROR(
      writer.WriteTensors("prior/text_encoder/model.safetensors",
                          WithPositionIds(TensorsOf(text_encoder), "text_model.embeddings.position_ids",
                                          text.max_position_embeddings)));

  const std::string image_path = "prior/image_encoder/config.json";
  ASSIGN_OR_RETURN(const ClipVisionConfig image,
                   ParseClipVisionConfig(image_path, TinyModelConfig(network, image_path)));
  ClipVisionModelWithProjection image_encoder(image);
  randomizer.Fill(image_encoder);
  const int64_t positions = image_encoder.embeddings->position_embedding->weight.size(0);
  RETURN_IF_ERROR(writer.WriteTensors("prior/image_encoder/model.safetensors",
                                      WithPositionIds(InHalfPrecision(TensorsOf(image_encoder)),
                                                      "vision_model.embeddings.position_ids", positions)));

  const std::string prior_path = "prior/prior/config.json";
  ASSIGN_OR_RETURN(const PriorTransformerConfig config,
                   ParsePriorConfig(prior_path, TinyModelConfig(network, prior_path)));
  PriorTransformer prior(config);
  randomizer.Fill(prior);
  ShapePrior(prior, randomizer);
  return writer.WriteTensors("prior/prior/diffusion_pytorch_model.safetensors", TensorsOf(prior));
}

absl::Status WriteDecoderNetworks(TinyNetwork network, ModelWriter& writer, Randomizer& randomizer) {
  const std::string unet_path = "decoder/unet/config.json";
  ASSIGN_OR_RETURN(const UNet2DConditionConfig unet_config,
                   ParseUNetConfig(unet_path, TinyModelConfig(network, unet_path)));
  UNet2DConditionModel unet(unet_config);
  randomizer.Fill(unet);
  ShapeUNet(unet);
  RETURN_IF_ERROR(writer.WriteTensors("decoder/unet/diffusion_pytorch_model.safetensors", TensorsOf(unet)));

  const std::string movq_path = "decoder/movq/config.json";
  ASSIGN_OR_RETURN(const VQModelConfig movq_config,
                   ParseVQModelConfig(movq_path, TinyModelConfig(network, movq_path)));
  VQModel movq(movq_config);
  randomizer.Fill(movq);
  ShapeMovq(movq, randomizer);
  return writer.WriteTensors("decoder/movq/diffusion_pytorch_model.safetensors", TensorsOf(movq));
}

}  // namespace

absl::Status WriteTinyModel(const std::string& folder, uint64_t seed, TinyNetwork network) {
  ModelWriter writer(folder);
  for (const TinyModelFile& file : TinyModelConfigs(network)) RETURN_IF_ERROR(writer.WriteText(file));
  for (const TinyModelFile& file : TinyTokenizerFiles()) RETURN_IF_ERROR(writer.WriteText(file));
  try {
    const at::NoGradGuard no_grad;
    Randomizer randomizer(seed);
    RETURN_IF_ERROR(WritePriorNetworks(network, writer, randomizer));
    return WriteDecoderNetworks(network, writer, randomizer);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("cannot make the weights: ", error.what()));
  }
}

}  // namespace kandinsky
