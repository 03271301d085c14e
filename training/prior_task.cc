#include "training/prior_task.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "training/frozen_networks.h"
#include "training/image_features.h"
#include "training/initial_weights.h"

namespace kandinsky::training {
namespace {

// Both training scripts use a schedule of their own, whatever the scheduler file of the model says.
SamplerConfig PriorNoise() {
  SamplerConfig config;
  config.beta_schedule = "squaredcos_cap_v2";
  return config;
}

// The statistics of embeddings belong to the vision tower, not to what is learned.
void Restart(PriorTransformer& prior, uint64_t seed) {
  const torch::Tensor mean = prior.clip_mean.clone();
  const torch::Tensor std = prior.clip_std.clone();
  InitializeWeights(prior, seed);
  const at::NoGradGuard no_grad;
  prior.clip_mean.copy_(mean);
  prior.clip_std.copy_(std);
}

}  // namespace

PriorTask::PriorTask(const TrainingOptions& options, NetworkFiles files, Noising noising,
                     CaptionFeatures captions, FeatureCache images)
    : files_(std::move(files)),
      caption_dropout_(options.caption_dropout),
      snr_gamma_(options.snr_gamma.value_or(0.0)),
      noising_(std::move(noising)),
      captions_(std::move(captions)),
      images_(std::move(images)) {}

absl::StatusOr<std::unique_ptr<PriorTask>> PriorTask::Make(const TrainingOptions& options,
                                                           const ModelDirectory& files,
                                                           const std::vector<TrainingSample>& samples,
                                                           const FeatureCache::Progress& progress) {
  ASSIGN_OR_RETURN(const FrozenImageEncoder vision, LoadImageEncoder(files.prior));
  ASSIGN_OR_RETURN(FeatureCache images,
                   OpenImageFeatures(files, vision, samples, {}, options.data.cache_folder, progress));
  ASSIGN_OR_RETURN(CaptionFeatures captions,
                   CaptionFeatures::Open(files.prior, samples, options.data.cache_folder, progress));
  ASSIGN_OR_RETURN(Noising noising, Noising::Make(PriorNoise()));
  std::unique_ptr<PriorTask> task(
      new PriorTask(options, files.prior.prior, std::move(noising), std::move(captions), std::move(images)));
  task->sample_count_ = static_cast<int64_t>(samples.size());
  ASSIGN_OR_RETURN(task->prior_, LoadNetwork<PriorTransformer>(task->files_, ParsePriorConfig, true));
  if (options.from_scratch) Restart(*task->prior_, options.seed);
  return task;
}

std::vector<int64_t> PriorTask::DrawCaptions(absl::Span<const int64_t> samples, at::Generator& random) const {
  const torch::Tensor draws = at::rand({static_cast<int64_t>(samples.size()), 2}, random);
  const auto values = draws.accessor<float, 2>();
  std::vector<int64_t> rows;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    const std::vector<int64_t>& choices = captions_.RowsOf(samples[i]);
    const auto choice = static_cast<size_t>(values[row][0] * static_cast<float>(choices.size()));
    const bool dropped = values[row][1] < caption_dropout_;
    rows.push_back(dropped ? CaptionFeatures::kEmptyCaption : choices[std::min(choice, choices.size() - 1)]);
  }
  return rows;
}

torch::Tensor PriorTask::Loss(absl::Span<const int64_t> samples, at::Generator& random) const {
  const CaptionFeatures::Batch captions = captions_.Get(DrawCaptions(samples, random));
  PriorBatch batch;
  batch.image_embeds = images_.Rows("image_embeds", samples);
  batch.text_embeds = captions.embeds;
  batch.text_hidden = captions.hidden;
  batch.text_mask = captions.mask;
  batch.noise = at::randn(batch.image_embeds.sizes(), random);
  batch.timesteps = at::randint(0, noising_.num_timesteps(), {batch.image_embeds.size(0)}, random, at::kLong);
  return PriorLoss(*prior_, noising_, batch, snr_gamma_);
}

}  // namespace kandinsky::training
