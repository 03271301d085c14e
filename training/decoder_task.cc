#include "training/decoder_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "pipeline/hint_size.h"
#include "training/frozen_networks.h"
#include "training/image_features.h"
#include "training/initial_weights.h"

namespace kandinsky::training {

DecoderTask::DecoderTask(const TrainingOptions& options, NetworkFiles files, Noising noising,
                         FeatureCache images, const std::vector<TrainingSample>& samples)
    : files_(std::move(files)),
      embedding_dropout_(options.embedding_dropout),
      embedding_noise_(options.embedding_noise),
      snr_gamma_(options.snr_gamma.value_or(0.0)),
      embedding_exchange_(options.embedding_exchange),
      exchange_(samples),
      noising_(std::move(noising)),
      images_(std::move(images)) {}

absl::StatusOr<std::unique_ptr<DecoderTask>> DecoderTask::Make(const TrainingOptions& options,
                                                               const ModelDirectory& files,
                                                               const std::vector<TrainingSample>& samples,
                                                               const FeatureCache::Progress& progress) {
  ASSIGN_OR_RETURN(const FrozenImageEncoder vision, LoadImageEncoder(files.prior));
  ASSIGN_OR_RETURN(const UNet2DConditionConfig unet,
                   ParseUNetConfig(files.decoder.unet.config.path, files.decoder.unet.config.json));
  ASSIGN_OR_RETURN(const VQModelConfig movq,
                   ParseVQModelConfig(files.decoder.movq.config.path, files.decoder.movq.config.json));
  const int64_t multiple = unet.SizeMultiple() * movq.DownsamplingFactor();
  if (options.data.resolution % multiple != 0) {
    return absl::InvalidArgumentError(absl::StrCat("data.resolution is ", options.data.resolution,
                                                   ", must be a multiple of ", multiple, " for this model"));
  }
  const bool hints = files.decoder.network == "controlnet_depth";
  const int resolution = options.data.resolution;
  const ImageFeatureRequest request = {
      .latents = true,
      .resolution = resolution,
      .hint_resolution = hints ? HintEdge(resolution, static_cast<int>(movq.DownsamplingFactor())) : 0};
  ASSIGN_OR_RETURN(FeatureCache images,
                   OpenImageFeatures(files, vision, samples, request, options.data.cache_folder, progress));
  const ConfigFile& scheduler = files.decoder.scheduler;
  ASSIGN_OR_RETURN(const SamplerConfig config, ParseSamplerConfig(scheduler.path, scheduler.json, {}));
  if (config.prediction_type != "epsilon") {
    return absl::InvalidArgumentError(absl::StrCat(scheduler.path, ": prediction_type \"",
                                                   config.prediction_type,
                                                   "\" must be epsilon to train the U-Net"));
  }
  absl::StatusOr<Noising> noising = Noising::Make(config);
  RETURN_IF_ERROR(InFile(scheduler.path, noising.status()));
  std::unique_ptr<DecoderTask> task(
      new DecoderTask(options, files.decoder.unet, *std::move(noising), std::move(images), samples));
  task->sample_count_ = static_cast<int64_t>(samples.size());
  task->zero_embedding_ = vision.zero_embedding;
  if (hints) task->further_input_ = FurtherInput::kHint;
  if (files.decoder.network == "inpaint") task->further_input_ = FurtherInput::kKeptImage;
  ASSIGN_OR_RETURN(task->unet_, LoadNetwork<UNet2DConditionModel>(task->files_, ParseUNetConfig, true));
  if (options.from_scratch) InitializeWeights(*task->unet_, options.seed);
  return task;
}

torch::Tensor DecoderTask::ImageEmbeds(absl::Span<const int64_t> samples, at::Generator& random) const {
  std::vector<int64_t> sources(samples.begin(), samples.end());
  if (embedding_exchange_ > 0) {
    const torch::Tensor draws = at::rand({static_cast<int64_t>(sources.size()), 3}, random);
    const auto values = draws.accessor<float, 2>();
    for (int64_t row = 0; row < draws.size(0); ++row) {
      int64_t& source = sources[static_cast<size_t>(row)];
      if (values[row][0] >= embedding_exchange_) continue;
      source = exchange_.Draw(source, values[row][1], values[row][2]);
    }
  }
  torch::Tensor embeds = images_.Rows("image_embeds", sources);
  if (embedding_noise_ > 0) embeds = embeds + at::randn(embeds.sizes(), random) * embedding_noise_;
  const torch::Tensor dropped = at::rand({embeds.size(0), 1}, random) < embedding_dropout_;
  return at::where(dropped, zero_embedding_, embeds);
}

torch::Tensor DecoderTask::FurtherChannels(absl::Span<const int64_t> samples, const torch::Tensor& latents,
                                           at::Generator& random) const {
  if (further_input_ == FurtherInput::kHint) {
    return unet_->encode_hint(images_.Rows("hint", samples).to(torch::kFloat) / 255);
  }
  if (further_input_ == FurtherInput::kNone) return {};
  const torch::Tensor keep = DrawKeepMasks(latents.size(0), latents.size(2), latents.size(3), random);
  return at::cat({latents * keep, keep}, 1);
}

torch::Tensor DecoderTask::Loss(absl::Span<const int64_t> samples, at::Generator& random) const {
  DecoderBatch batch;
  batch.latents = images_.Rows("latents", samples);
  batch.image_embeds = ImageEmbeds(samples, random);
  batch.further_channels = FurtherChannels(samples, batch.latents, random);
  batch.noise = at::randn(batch.latents.sizes(), random);
  batch.timesteps = at::randint(0, noising_.num_timesteps(), {batch.latents.size(0)}, random, at::kLong);
  return DecoderLoss(*unet_, noising_, batch, snr_gamma_);
}

torch::Tensor DrawKeepMasks(int64_t rows, int64_t height, int64_t width, at::Generator& random) {
  const torch::Tensor draws = at::rand({rows, 5}, random);
  const auto values = draws.accessor<float, 2>();
  torch::Tensor keep = at::ones({rows, 1, height, width});
  constexpr float kAllOfIt = 0.125f;
  constexpr float kSmallestEdge = 0.25f;
  // Where a stretch of `share` of `length` begins and how long it is.
  const auto stretch = [](float share, float place, int64_t length) {
    const auto size = std::max<int64_t>(1, std::llround(share * static_cast<float>(length)));
    return std::pair(std::llround(place * static_cast<float>(length - size)), size);
  };
  for (int64_t row = 0; row < rows; ++row) {
    const bool all = values[row][0] < kAllOfIt;
    const auto share = [&](int draw) {
      return all ? 1.0f : kSmallestEdge + (1 - kSmallestEdge) * values[row][draw];
    };
    const auto [top, tall] = stretch(share(1), values[row][2], height);
    const auto [left, wide] = stretch(share(3), values[row][4], width);
    keep[row][0].narrow(0, top, tall).narrow(1, left, wide).zero_();
  }
  return keep;
}

}  // namespace kandinsky::training
