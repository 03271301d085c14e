#include "pipeline/kandinsky22/networks/model_files.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/components/model_configs.h"
#include "pipeline/network_names.h"

namespace kandinsky {
namespace {

absl::StatusOr<ModelDirectory> OpenFiles(const PipelineOptions& options) {
  if (options.prior_path.empty()) return OpenModelDirectory(options.model_path);
  return OpenModelDirectory(options.prior_path, options.model_path);
}

// The decoders beside the first: of other networks, with its autoencoder.
absl::StatusOr<std::vector<DecoderFiles>> OpenFurther(const PipelineOptions& options,
                                                      const DecoderFiles& first) {
  std::vector<std::string> paths = options.network_paths;
  if (options.prior_path.empty()) {
    for (std::string& path : FurtherNetworks(options.model_path)) paths.push_back(std::move(path));
  }
  std::vector<DecoderFiles> further;
  std::map<std::string, std::string> folders = {{first.network, first.unet.folder}};
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(DecoderFiles decoder, OpenDecoderDirectory(path));
    const auto [other, added] = folders.emplace(decoder.network, decoder.unet.folder);
    if (!added) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two ", decoder.network, " networks in one model: ", other->second, " and ", decoder.unet.folder));
    }
    if (!SameNetwork(first.movq, decoder.movq)) {
      return absl::InvalidArgumentError(absl::StrCat(decoder.movq.folder, ": not the image autoencoder of ",
                                                     first.movq.folder,
                                                     ", which the networks of one model share"));
    }
    further.push_back(std::move(decoder));
  }
  return further;
}

// Input channels of the U-Net of each published network.
int64_t InputChannels(const std::string& network) {
  if (network == kInpaintNetwork) return 9;  // latents, kept latents, mask
  return network == kDepthNetwork ? 8 : 4;
}

}  // namespace

std::vector<const DecoderFiles*> ModelFiles::decoders() const {
  std::vector<const DecoderFiles*> decoders = {&first.decoder};
  for (const DecoderFiles& decoder : further) decoders.push_back(&decoder);
  return decoders;
}

absl::StatusOr<ModelFiles> OpenModelFiles(const PipelineOptions& options) {
  ModelFiles files;
  ASSIGN_OR_RETURN(files.first, OpenFiles(options));
  ASSIGN_OR_RETURN(files.further, OpenFurther(options, files.first.decoder));
  return files;
}

absl::StatusOr<NetworkConfigs> ParseConfigs(const ModelFiles& files) {
  const ModelDirectory& first = files.first;
  const auto parse = [](auto parser, const NetworkFiles& network) {
    return parser(network.config.path, network.config.json);
  };
  NetworkConfigs configs;
  ASSIGN_OR_RETURN(configs.text, parse(ParseClipTextConfig, first.prior.text_encoder));
  ASSIGN_OR_RETURN(configs.vision, parse(ParseClipVisionConfig, first.prior.image_encoder));
  ASSIGN_OR_RETURN(configs.prior, parse(ParsePriorConfig, first.prior.prior));
  for (const DecoderFiles* decoder : files.decoders()) {
    UNet2DConditionConfig& config = configs.unets[decoder->network];
    ASSIGN_OR_RETURN(config, parse(ParseUNetConfig, decoder->unet));
    if (config.in_channels == InputChannels(decoder->network)) continue;
    return absl::InvalidArgumentError(absl::StrCat(decoder->unet.config.path, ": in_channels ",
                                                   config.in_channels, " is not that of the ",
                                                   decoder->network, " network"));
  }
  ASSIGN_OR_RETURN(configs.movq, parse(ParseVQModelConfig, first.decoder.movq));
  return configs;
}

}  // namespace kandinsky
