#include "pipeline/kandinsky22/networks/load_networks.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <climits>
#include <filesystem>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/components/component_loader.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/components/published_networks.h"
#include "pipeline/device/exception_translation.h"
#include "pipeline/diffusion/latent_preview.h"
#include "pipeline/hint_size.h"
#include "pipeline/kandinsky22/generation_defaults.h"
#include "pipeline/kandinsky22/kandinsky22_family.h"
#include "pipeline/kandinsky22/networks/model_files.h"
#include "pipeline/models/resident_weights.h"
#include "pipeline/models/share_weights.h"
#include "pipeline/samplers/decoder_sampler.h"
#include "pipeline/weights/model_directory.h"

namespace kandinsky {
namespace {

// Of the two networks in one group of options, which may name the same file.
template <typename Options>
LoraFile UnetLora(const Options& options, double scale) {
  return {options.unet_lora_path,
          {.scale = scale, .shared = options.prior_lora_path == options.unet_lora_path, .network = "unet"}};
}
template <typename Options>
LoraFile PriorLora(const Options& options, double scale) {
  return {options.prior_lora_path,
          {.scale = scale, .shared = options.prior_lora_path == options.unet_lora_path, .network = "prior"}};
}

// The loaded modules, which are shared by everybody who needs them.
struct Modules {
  std::shared_ptr<const ClipTokenizer> tokenizer;
  std::shared_ptr<const ClipTextModelWithProjection> text_encoder;
  std::shared_ptr<const PriorTransformer> prior;
  std::map<std::string, std::shared_ptr<const UNet2DConditionModel>> unets;  // by Capabilities::networks
  std::shared_ptr<const VQModel> movq;
};

// What is loaded so far, with the means to load more.
struct Loading {
  DiffusionModel model;
  Modules modules;
  ResidentWeights weights;
};

// `network`, a prepared one, with the adapters of a file: another module, which shares all weights that they
// leave alone.
template <typename Module, typename Config>
absl::StatusOr<std::shared_ptr<const Module>> Adapt(const Config& config, const LoraFile& lora,
                                                    const Module& network) {
  auto adapted = std::make_shared<Module>(config);
  ShareWeights(network, *adapted);
  RETURN_IF_ERROR(MergeLoraFile(lora, *adapted));
  return adapted;
}

// Unguided and guided rows alike: the negative embedding comes first.
class ImageConditioner final : public Conditioner {
 public:
  DenoiserCondition Combine(const ConditionParts& parts) const override {
    if (!parts.guided) return {.image_embeddings = parts.embedding};
    return {.image_embeddings = at::cat({parts.negative_embedding, parts.embedding})};
  }
};

// The vision tower, and its embedding of an all-zero tensor, which is not a black image (zeros are CLIP's
// mean color). Text to image needs nothing but that embedding.
absl::Status LoadImageEncoder(const PriorFiles& files, const ClipVisionConfig& config, bool keep,
                              Loading& loading) {
  ASSIGN_OR_RETURN(const ClipProcessorConfig processor,
                   ParseClipProcessorConfig(files.image_processor.path, files.image_processor.json));
  if (processor.image_size != config.image_size || config.num_channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.image_processor.path, ": images of ", processor.image_size,
                     " pixels do not fit the image encoder's ", config.image_size));
  }
  ComponentLoader loader;
  const auto tower = loader.Add<ClipVisionModelWithProjection>(config, files.image_encoder);
  RETURN_IF_ERROR(loader.Load());
  DiffusionModel& model = loading.model;
  const c10::InferenceMode inference_mode;
  model.zero_image_embedding =
      tower->forward(model.placement.Zeros({1, config.num_channels, config.image_size, config.image_size}));
  model.capabilities.clip_image_size = processor.image_size;
  model.capabilities.clip_squeezes = processor.squeezes;
  model.capabilities.has_image_encoder = keep;
  if (!keep) return absl::OkStatus();
  loading.weights.Add(*tower);
  model.image_encoder = MakeImageEncoder(tower, processor, model.placement);
  return absl::OkStatus();
}

absl::Status CheckFit(const ModelFiles& model_files, const ClipTokenizer& tokenizer,
                      const NetworkConfigs& configs) {
  const ModelDirectory& files = model_files.first;
  const auto& [text, vision, prior, unets, movq] = configs;
  const std::string& tokenizer_file = files.prior.tokenizer_folder;
  const std::string& text_file = files.prior.text_encoder.config.path;
  const std::string& prior_file = files.prior.prior.config.path;
  const auto mismatch = [](const std::string& file, const std::string& other, const char* what, int64_t a,
                           int64_t b) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " does not fit ", other, ": ", what, ", ", a, " and ", b));
  };
  if (tokenizer.vocabulary_size() > text.vocab_size) {
    return mismatch(tokenizer_file, text_file, "vocabulary of tokenizer and text encoder",
                    tokenizer.vocabulary_size(), text.vocab_size);
  }
  if (tokenizer.max_length() != prior.num_embeddings) {
    return mismatch(tokenizer_file, prior_file, "text tokens of tokenizer and prior", tokenizer.max_length(),
                    prior.num_embeddings);
  }
  if (tokenizer.max_length() > text.max_position_embeddings) {
    return mismatch(tokenizer_file, text_file, "text tokens of tokenizer and text encoder",
                    tokenizer.max_length(), text.max_position_embeddings);
  }
  // 2 stands for "the largest id of the row", which the end token is in every published vocabulary.
  if (text.eos_token_id != 2 && text.eos_token_id != tokenizer.end_id()) {
    return mismatch(tokenizer_file, text_file, "end tokens of tokenizer and text encoder", tokenizer.end_id(),
                    text.eos_token_id);
  }
  if (text.hidden_size != prior.embedding_dim || text.projection_dim != prior.embedding_dim) {
    return mismatch(text_file, prior_file, "widths of text encoder and prior", text.hidden_size,
                    prior.embedding_dim);
  }
  if (vision.projection_dim != prior.embedding_dim) {
    return mismatch(files.prior.image_encoder.config.path, prior_file, "widths of image encoder and prior",
                    vision.projection_dim, prior.embedding_dim);
  }
  for (const DecoderFiles* decoder : model_files.decoders()) {
    const UNet2DConditionConfig& unet = unets.at(decoder->network);
    if (unet.encoder_hid_dim != prior.embedding_dim) {
      return mismatch(prior_file, decoder->unet.config.path, "widths of prior and U-Net", prior.embedding_dim,
                      unet.encoder_hid_dim);
    }
    if (unet.out_channels < 4) {
      return absl::InvalidArgumentError(absl::StrCat(decoder->unet.config.path, ": out_channels ",
                                                     unet.out_channels,
                                                     " must be at least 4, those of the latents"));
    }
  }
  const bool movq_fits = movq.latent_channels == 4 && movq.out_channels == 3 &&
                         (movq.vq_embed_dim == 0 || movq.vq_embed_dim == 4);
  if (movq_fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      files.decoder.movq.config.path, ": latent_channels ", movq.latent_channels, ", vq_embed_dim ",
      movq.vq_embed_dim, " and out_channels ", movq.out_channels, " must be 4, 4 and 3"));
}

// All but the vision tower at once.
absl::Status LoadOtherNetworks(const ModelFiles& model_files, const NetworkConfigs& configs,
                               const PipelineOptions& options, Loading& loading) {
  const ModelDirectory& files = model_files.first;
  Modules& modules = loading.modules;
  ComponentLoader loader;
  modules.text_encoder = loader.Add<ClipTextModelWithProjection>(configs.text, files.prior.text_encoder);
  modules.prior = loader.Add<PriorTransformer>(configs.prior, files.prior.prior,
                                               {.lora = PriorLora(options, options.lora_scale)});
  for (const DecoderFiles* decoder : model_files.decoders()) {
    modules.unets[decoder->network] = loader.Add<UNet2DConditionModel>(
        configs.unets.at(decoder->network), decoder->unet, {.lora = UnetLora(options, options.lora_scale)});
  }
  modules.movq = loader.Add<VQModel>(configs.movq, files.decoder.movq);
  RETURN_IF_ERROR(loader.Load());

  DiffusionModel& model = loading.model;
  const Placement& placement = model.placement;
  model.text_encoders[kTextEncoder] = MakeTextEncoder(modules.tokenizer, modules.text_encoder, placement);
  model.networks.prior = MakePrior(modules.prior, placement);
  loading.weights.Add(*modules.text_encoder);
  loading.weights.Add(*modules.prior);
  for (const auto& [name, unet] : modules.unets) {
    model.networks.denoisers[name] = MakeDenoiser(unet, placement);
    loading.weights.Add(*unet);
  }
  model.autoencoder = MakeAutoencoder(modules.movq, configs.movq, placement);
  loading.weights.Add(*modules.movq);
  return absl::OkStatus();
}

absl::Status ReadPriorParts(const PriorFiles& files, Loading& loading) {
  DiffusionModel& model = loading.model;
  ASSIGN_OR_RETURN(loading.modules.tokenizer, ClipTokenizer::Load(files.tokenizer_folder));
  ASSIGN_OR_RETURN(model.prior_sampler,
                   ParseSamplerConfig(files.scheduler.path, files.scheduler.json, UnclipDefaults()));
  // A sampler that cannot be built is an error of the files, not of the first request.
  return InFile(files.scheduler.path, MakeUnclipSampler(model.prior_sampler, 2).status());
}

absl::Status ReadSampling(const DecoderFiles& files, const UNet2DConditionConfig& config,
                          DiffusionModel& model) {
  const std::string& file = files.scheduler.path;
  DecoderSampling& sampling = model.sampling[files.network];
  ASSIGN_OR_RETURN(sampling.config, ParseSamplerConfig(file, files.scheduler.json, {}));
  ASSIGN_OR_RETURN(sampling.default_sampler, ParseSamplerKind(file, files.scheduler.json));
  RETURN_IF_ERROR(
      InFile(file, MakeDecoderSampler(sampling.default_sampler, sampling.config, {.steps = 1}).status()));
  const auto offered = OfferedSamplers(sampling.config, config.out_channels);
  if (std::find(offered.begin(), offered.end(), sampling.default_sampler) != offered.end())
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(file, ": its sampler does not fit a U-Net of ", config.out_channels, " output channels"));
}

absl::Status LoadAdapters(const NetworkConfigs& configs, const AdapterOptions& adapter, Loading& loading) {
  DiffusionModel& model = loading.model;
  AdaptedNetworks networks = model.networks;
  if (!adapter.prior_lora_path.empty()) {
    ASSIGN_OR_RETURN(const auto prior,
                     Adapt(configs.prior, PriorLora(adapter, adapter.scale), *loading.modules.prior));
    networks.prior = MakePrior(prior, model.placement);
    networks.names.prior = adapter.name;
    loading.weights.Add(*prior);
  }
  if (!adapter.unet_lora_path.empty()) {
    for (const auto& [name, base] : loading.modules.unets) {
      ASSIGN_OR_RETURN(const auto unet,
                       Adapt(configs.unets.at(name), UnetLora(adapter, adapter.scale), *base));
      networks.denoisers[name] = MakeDenoiser(unet, model.placement);
      loading.weights.Add(*unet);
    }
    networks.names.denoiser = adapter.name;
  }
  model.adapters[adapter.name] = std::move(networks);
  model.capabilities.adapters.push_back(adapter.name);
  return absl::OkStatus();
}

// Floats that live at once, per latent cell and channel of the first block. U-Net: the skip connections
// (about 7), a concatenated input, its normalized copy and the output (5), and headroom. MOVQ decodes at 64
// pixels per cell: about 400, as seen in a decode of 512 x 512 pixels, 0.8 GB.
constexpr int64_t kUnetFloats = 15;
constexpr int64_t kMovqFloats = 400;
// Per pixel of the hint: two maps of 16 channels of the hint block's first convolutions, and itself.
constexpr int64_t kHintFloats = 35;

StepMemory EstimateStepMemory(const NetworkConfigs& configs) {
  const auto& [text, vision, prior, unets, movq] = configs;
  int64_t unet_channels = 0;  // of the first block
  for (const auto& [name, unet] : unets) {
    unet_channels = std::max<int64_t>(unet_channels, unet.block_out_channels.front());
  }
  constexpr int64_t kBytes = sizeof(float);
  // Keys and values of the text tokens in every layer.
  const int64_t prefix = 2 * prior.num_layers * (prior.num_embeddings + 1) * prior.num_attention_heads *
                         prior.attention_head_dim;
  const int64_t patches =
      (vision.image_size / vision.patch_size) * (vision.image_size / vision.patch_size) + 1;
  return {.text = 2 * kBytes * prefix,
          .image = kBytes * patches * (8 * vision.hidden_size + vision.intermediate_size),
          .prior = kBytes * prefix,
          .denoise = kUnetFloats * kBytes * unet_channels,
          .decode = kMovqFloats * kBytes * movq.block_out_channels.front(),
          .hint = kHintFloats * kBytes * kHintScale * kHintScale};
}

// What every network that denoises can do.
void DescribeDenoisers(const DiffusionModel& model, const NetworkConfigs& configs,
                       Capabilities& capabilities) {
  capabilities.max_steps = INT_MAX;
  for (const char* name : {kDecoderNetwork, kInpaintNetwork, kDepthNetwork}) {
    const auto found = configs.unets.find(name);
    if (found == configs.unets.end()) continue;
    const SamplerConfig& sampling = model.sampling.at(name).config;
    const std::vector<SamplerKind> offered = OfferedSamplers(sampling, found->second.out_channels);
    if (capabilities.networks.empty()) capabilities.samplers = offered;
    std::erase_if(capabilities.samplers, [&](SamplerKind kind) {
      return std::find(offered.begin(), offered.end(), kind) == offered.end();
    });
    capabilities.networks.emplace_back(name);
    capabilities.size_multiple =
        std::lcm(capabilities.networks.size() == 1 ? 1 : capabilities.size_multiple,
                 static_cast<int>(found->second.SizeMultiple()) * capabilities.latent_scale);
    capabilities.max_steps = std::min(capabilities.max_steps, LargestStepCount(sampling));
  }
}

Capabilities Describe(const PipelineOptions& options, const ModelFiles& files, const Loading& loading,
                      const NetworkConfigs& configs) {
  const DiffusionModel& model = loading.model;
  Capabilities capabilities = model.capabilities;
  capabilities.model_name = options.model_name;
  capabilities.family = files.first.family;
  capabilities.device = model.placement.device_name();
  capabilities.dtype = model.placement.dtype_name();
  capabilities.latent_scale = model.autoencoder->scale();
  DescribeDenoisers(model, configs, capabilities);
  capabilities.embedding_dim = static_cast<int>(model.networks.prior->width());
  capabilities.max_prior_steps = model.prior_sampler.num_train_timesteps;
  capabilities.text_windows = {{.network = kTextEncoder, .tokens = loading.modules.tokenizer->max_length()}};
  capabilities.defaults =
      TrainedDefaults(capabilities, configs.unets.at(files.first.decoder.network).sample_size);
  capabilities.weight_bytes = loading.weights.bytes();
  return capabilities;
}

absl::StatusOr<std::shared_ptr<const DiffusionModel>> LoadOrThrow(const PipelineOptions& options) {
  Loading loading;
  DiffusionModel& model = loading.model;
  ASSIGN_OR_RETURN(model.placement, ParsePlacement(options.device, options.dtype));
  ASSIGN_OR_RETURN(const ModelFiles files, OpenModelFiles(options));
  ASSIGN_OR_RETURN(const NetworkConfigs configs, ParseConfigs(files));
  RETURN_IF_ERROR(ReadPriorParts(files.first.prior, loading));
  for (const DecoderFiles* decoder : files.decoders()) {
    RETURN_IF_ERROR(ReadSampling(*decoder, configs.unets.at(decoder->network), model));
  }
  RETURN_IF_ERROR(CheckFit(files, *loading.modules.tokenizer, configs));
  // The vision tower first: unless it is kept, its memory is free again before the others come.
  RETURN_IF_ERROR(LoadImageEncoder(files.first.prior, configs.vision, options.keep_image_encoder, loading));
  RETURN_IF_ERROR(LoadOtherNetworks(files, configs, options, loading));
  for (const AdapterOptions& adapter : options.adapters) {
    const absl::Status loaded = LoadAdapters(configs, adapter, loading);
    if (!loaded.ok()) {
      return absl::Status(loaded.code(), absl::StrCat("adapters \"", adapter.name, "\": ", loaded.message()));
    }
  }
  model.conditioner = std::make_shared<ImageConditioner>();
  model.family = std::make_shared<Kandinsky22Family>(model.autoencoder->scale(), EstimateStepMemory(configs));
  model.latent_to_rgb = FitLatentToRgb(*model.autoencoder, model.placement);
  model.capabilities = Describe(options, files, loading, configs);
  const std::string decoder = std::filesystem::path(files.first.decoder.unet.folder).parent_path().string();
  ASSIGN_OR_RETURN(model.capabilities.defaults,
                   ReadGenerationDefaults({options.model_path, decoder}, model.capabilities));
  return std::make_shared<const DiffusionModel>(std::move(model));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DiffusionModel>> LoadNetworks(const PipelineOptions& options) {
  return TranslateExceptions("loading of the model", [&] { return LoadOrThrow(options); });
}

}  // namespace kandinsky
