#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/models/prior_transformer.h"
#include "training/caption_features.h"
#include "training/noising.h"
#include "training/training_losses.h"
#include "training/training_task.h"

namespace kandinsky::training {

// The diffusion prior: learns the embedding of an image from its caption. A share of the captions becomes
// empty, so that guidance has something to lead away from (the original script; diffusers' drops none).
class PriorTask final : public TrainingTask {
 public:
  // Errors as MakeTrainingTask.
  static absl::StatusOr<std::unique_ptr<PriorTask>> Make(const TrainingOptions& options,
                                                         const ModelDirectory& files,
                                                         const std::vector<TrainingSample>& samples,
                                                         const FeatureCache::Progress& progress);

  torch::nn::Module& network() override { return *prior_; }
  const std::string& network_folder() const override { return folder_; }
  const NetworkFiles& files() const override { return files_; }
  int64_t sample_count() const override { return sample_count_; }
  torch::Tensor Loss(absl::Span<const int64_t> samples, at::Generator& random) const override;

 private:
  PriorTask(const TrainingOptions& options, NetworkFiles files, Noising noising, CaptionFeatures captions,
            FeatureCache images);

  std::vector<int64_t> DrawCaptions(absl::Span<const int64_t> samples, at::Generator& random) const;

  const std::string folder_ = "prior";
  const NetworkFiles files_;
  const double caption_dropout_;
  const double snr_gamma_;
  const Noising noising_;
  const CaptionFeatures captions_;
  const FeatureCache images_;
  int64_t sample_count_ = 0;
  std::shared_ptr<PriorTransformer> prior_;
};

}  // namespace kandinsky::training
