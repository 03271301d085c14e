#include "pipeline/kandinsky/kandinsky_model.h"

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
#include "pipeline/hint_size.h"
#include "pipeline/kandinsky/exception_translation.h"
#include "pipeline/kandinsky/latent_preview.h"
#include "pipeline/kandinsky/model_configs.h"
#include "pipeline/kandinsky/model_files.h"
#include "pipeline/kandinsky22/generation_defaults.h"
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

// Bytes of the tensors that `module` does not share with `base`.
int64_t OwnBytes(const torch::nn::Module& base, const torch::nn::Module& module) {
  const auto shared = base.named_parameters();
  int64_t bytes = 0;
  for (const auto& parameter : module.named_parameters()) {
    const torch::Tensor& own = parameter.value();
    if (own.data_ptr() != shared[parameter.key()].data_ptr()) bytes += static_cast<int64_t>(own.nbytes());
  }
  return bytes;
}

// Replaces `network`, a prepared one, by another with the adapters of a file, which shares all weights that
// they leave alone. Returns the bytes of the others.
template <typename Module, typename Config>
absl::StatusOr<int64_t> Adapt(const Config& config, const LoraFile& lora,
                              std::shared_ptr<const Module>& network) {
  auto adapted = std::make_shared<Module>(config);
  ShareWeights(*network, *adapted);
  RETURN_IF_ERROR(MergeLoraFile(lora, *adapted));
  const int64_t bytes = OwnBytes(*network, *adapted);
  network = std::move(adapted);
  return bytes;
}

// The vision tower, and its embedding of an all-zero tensor, which is not a black picture (zeros are CLIP's
// mean colour). Text to image needs nothing but that embedding.
absl::Status LoadImageEncoder(const PriorFiles& files, const ClipVisionConfig& config, bool keep,
                              KandinskyModel& model) {
  ASSIGN_OR_RETURN(const ClipProcessorConfig processor,
                   ParseClipProcessorConfig(files.image_processor.path, files.image_processor.json));
  if (processor.image_size != config.image_size || config.num_channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat(files.image_processor.path, ": pictures of ", processor.image_size,
                     " pixels do not fit the image encoder's ", config.image_size));
  }
  ComponentLoader loader;
  const auto tower = loader.Add<ClipVisionModelWithProjection>(config, files.image_encoder);
  RETURN_IF_ERROR(loader.Load());
  const c10::InferenceMode inference_mode;
  model.zero_image_embedding =
      tower->forward(torch::zeros({1, config.num_channels, config.image_size, config.image_size}));
  model.clip_mean = torch::tensor(processor.image_mean);
  model.clip_std = torch::tensor(processor.image_std);
  model.capabilities.clip_image_size = processor.image_size;
  model.capabilities.clip_squeezes = processor.squeezes;
  if (keep) model.image_encoder = tower;
  return absl::OkStatus();
}

absl::Status CheckFit(const ModelFiles& model_files, const KandinskyModel& model,
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
  if (model.tokenizer->vocabulary_size() > text.vocab_size) {
    return mismatch(tokenizer_file, text_file, "vocabulary of tokenizer and text encoder",
                    model.tokenizer->vocabulary_size(), text.vocab_size);
  }
  if (model.tokenizer->max_length() != prior.num_embeddings) {
    return mismatch(tokenizer_file, prior_file, "text tokens of tokenizer and prior",
                    model.tokenizer->max_length(), prior.num_embeddings);
  }
  if (model.tokenizer->max_length() > text.max_position_embeddings) {
    return mismatch(tokenizer_file, text_file, "text tokens of tokenizer and text encoder",
                    model.tokenizer->max_length(), text.max_position_embeddings);
  }
  // 2 stands for "the largest id of the row", which the end token is in every published vocabulary.
  if (text.eos_token_id != 2 && text.eos_token_id != model.tokenizer->end_id()) {
    return mismatch(tokenizer_file, text_file, "end tokens of tokenizer and text encoder",
                    model.tokenizer->end_id(), text.eos_token_id);
  }
  if (text.hidden_size != prior.embedding_dim || text.projection_dim != prior.embedding_dim) {
    return mismatch(text_file, prior_file, "widths of text encoder and prior", text.hidden_size,
                    prior.embedding_dim);
  }
  if (model.zero_image_embedding.size(1) != prior.embedding_dim) {
    return mismatch(files.prior.image_encoder.config.path, prior_file, "widths of image encoder and prior",
                    model.zero_image_embedding.size(1), prior.embedding_dim);
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
absl::Status LoadNetworks(const ModelFiles& model_files, const NetworkConfigs& configs,
                          const PipelineOptions& options, KandinskyModel& model) {
  const ModelDirectory& files = model_files.first;
  ComponentLoader loader;
  model.text_encoder = loader.Add<ClipTextModelWithProjection>(configs.text, files.prior.text_encoder);
  model.networks.prior = loader.Add<PriorTransformer>(configs.prior, files.prior.prior,
                                                      {.lora = PriorLora(options, options.lora_scale)});
  for (const DecoderFiles* decoder : model_files.decoders()) {
    model.networks.unets[decoder->network] = loader.Add<UNet2DConditionModel>(
        configs.unets.at(decoder->network), decoder->unet, {.lora = UnetLora(options, options.lora_scale)});
  }
  model.movq = loader.Add<VQModel>(configs.movq, files.decoder.movq);
  return loader.Load();
}

absl::Status ReadPriorParts(const PriorFiles& files, KandinskyModel& model) {
  ASSIGN_OR_RETURN(model.tokenizer, ClipTokenizer::Load(files.tokenizer_folder));
  ASSIGN_OR_RETURN(model.prior_sampler,
                   ParseSamplerConfig(files.scheduler.path, files.scheduler.json, UnclipDefaults()));
  // A sampler that cannot be built is an error of the files, not of the first request.
  return InFile(files.scheduler.path, MakeUnclipSampler(model.prior_sampler, 2).status());
}

absl::Status ReadSampling(const DecoderFiles& files, const UNet2DConditionConfig& config,
                          KandinskyModel& model) {
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

absl::Status LoadAdapters(const NetworkConfigs& configs, const AdapterOptions& adapter,
                          KandinskyModel& model) {
  AdaptedNetworks networks = model.networks;
  if (!adapter.prior_lora_path.empty()) {
    ASSIGN_OR_RETURN(const int64_t bytes,
                     Adapt(configs.prior, PriorLora(adapter, adapter.scale), networks.prior));
    networks.prior_adapter = adapter.name;
    model.capabilities.weight_bytes += bytes;
  }
  if (!adapter.unet_lora_path.empty()) {
    for (auto& [name, unet] : networks.unets) {
      ASSIGN_OR_RETURN(const int64_t bytes,
                       Adapt(configs.unets.at(name), UnetLora(adapter, adapter.scale), unet));
      model.capabilities.weight_bytes += bytes;
    }
    networks.unet_adapter = adapter.name;
  }
  model.adapters[adapter.name] = std::move(networks);
  model.capabilities.adapters.push_back(adapter.name);
  return absl::OkStatus();
}

// Floats that live at once, per latent cell and channel of the first block. U-Net: the skip connections
// (about 7), a concatenated input, its normalised copy and the output (5), and some air. MOVQ decodes at 64
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
void DescribeDenoisers(const KandinskyModel& model, const NetworkConfigs& configs,
                       Capabilities& capabilities) {
  capabilities.max_steps = INT_MAX;
  for (const char* name : {"decoder", "inpaint", "controlnet_depth"}) {
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
                 static_cast<int>(found->second.SizeMultiple()) * model.latent_scale);
    capabilities.max_steps = std::min(capabilities.max_steps, LargestStepCount(sampling));
  }
}

Capabilities Describe(const PipelineOptions& options, const ModelFiles& model_files,
                      const KandinskyModel& model, const NetworkConfigs& configs) {
  const ModelDirectory& files = model_files.first;
  Capabilities capabilities = model.capabilities;
  capabilities.model_name = options.model_name;
  capabilities.family = files.family;
  capabilities.device = "cpu";
  capabilities.dtype = "float32";
  DescribeDenoisers(model, configs, capabilities);
  capabilities.has_image_encoder = model.image_encoder != nullptr;
  capabilities.embedding_dim = static_cast<int>(model.zero_image_embedding.size(1));
  capabilities.latent_scale = model.latent_scale;
  capabilities.max_prior_steps = model.prior_sampler.num_train_timesteps;
  capabilities.text_windows = {{.network = kTextEncoder, .tokens = model.tokenizer->max_length()}};
  capabilities.defaults = TrainedDefaults(capabilities, configs.unets.at(files.decoder.network).sample_size);
  for (const NetworkFiles* network : {&files.prior.prior, &files.prior.text_encoder, &files.decoder.movq}) {
    capabilities.weight_bytes += network->weights->total_bytes();
  }
  for (const DecoderFiles* decoder : model_files.decoders()) {
    capabilities.weight_bytes += decoder->unet.weights->total_bytes();
  }
  if (model.image_encoder != nullptr) {
    capabilities.weight_bytes += files.prior.image_encoder.weights->total_bytes();
  }
  return capabilities;
}

absl::StatusOr<std::shared_ptr<const KandinskyModel>> LoadOrThrow(const PipelineOptions& options) {
  ASSIGN_OR_RETURN(const ModelFiles files, OpenModelFiles(options));
  ASSIGN_OR_RETURN(const NetworkConfigs configs, ParseConfigs(files));
  auto model = std::make_shared<KandinskyModel>();
  model->latent_scale = static_cast<int>(configs.movq.DownsamplingFactor());
  RETURN_IF_ERROR(ReadPriorParts(files.first.prior, *model));
  for (const DecoderFiles* decoder : files.decoders()) {
    RETURN_IF_ERROR(ReadSampling(*decoder, configs.unets.at(decoder->network), *model));
  }
  // The vision tower first: unless it is kept, its memory is free again before the others come.
  RETURN_IF_ERROR(LoadImageEncoder(files.first.prior, configs.vision, options.keep_image_encoder, *model));
  RETURN_IF_ERROR(LoadNetworks(files, configs, options, *model));
  RETURN_IF_ERROR(CheckFit(files, *model, configs));
  for (const AdapterOptions& adapter : options.adapters) {
    const absl::Status loaded = LoadAdapters(configs, adapter, *model);
    if (!loaded.ok()) {
      return absl::Status(loaded.code(), absl::StrCat("adapters \"", adapter.name, "\": ", loaded.message()));
    }
  }
  model->latent_to_rgb = FitLatentToRgb(*model->movq);
  model->step_memory = EstimateStepMemory(configs);
  model->capabilities = Describe(options, files, *model, configs);
  const std::string decoder = std::filesystem::path(files.first.decoder.unet.folder).parent_path().string();
  ASSIGN_OR_RETURN(model->capabilities.defaults,
                   ReadGenerationDefaults({options.model_path, decoder}, model->capabilities));
  return model;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const KandinskyModel>> LoadKandinskyModel(const PipelineOptions& options) {
  return TranslateExceptions("loading of the model", [&] { return LoadOrThrow(options); });
}

}  // namespace kandinsky
