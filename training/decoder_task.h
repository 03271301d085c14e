#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/models/unet_2d_condition_model.h"
#include "training/embedding_exchange.h"
#include "training/noising.h"
#include "training/training_losses.h"
#include "training/training_task.h"

namespace kandinsky::training {

// The decoder's U-Net: learns the noise on the latents of an image from its embedding. By the network that
// the U-Net is for, it also sees a kept part of the image (inpainting, with masks drawn at random) or a
// hint image (depth). A share of the embeddings becomes that of the zero image, which is what the
// decoder is guided away from.
class DecoderTask final : public TrainingTask {
 public:
  // Errors as MakeTrainingTask.
  static absl::StatusOr<std::unique_ptr<DecoderTask>> Make(const TrainingOptions& options,
                                                           const ModelDirectory& files,
                                                           const std::vector<TrainingSample>& samples,
                                                           const FeatureCache::Progress& progress);

  torch::nn::Module& network() override { return *unet_; }
  const std::string& network_folder() const override { return folder_; }
  const NetworkFiles& files() const override { return files_; }
  int64_t sample_count() const override { return sample_count_; }
  torch::Tensor Loss(absl::Span<const int64_t> samples, at::Generator& random) const override;

 private:
  enum class FurtherInput { kNone, kKeptImage, kHint };

  DecoderTask(const TrainingOptions& options, NetworkFiles files, Noising noising, FeatureCache images,
              const std::vector<TrainingSample>& samples);

  torch::Tensor ImageEmbeds(absl::Span<const int64_t> samples, at::Generator& random) const;
  torch::Tensor FurtherChannels(absl::Span<const int64_t> samples, const torch::Tensor& latents,
                                at::Generator& random) const;

  const std::string folder_ = "unet";
  const NetworkFiles files_;
  const double embedding_dropout_;
  const double embedding_noise_;
  const double snr_gamma_;
  const double embedding_exchange_;
  const EmbeddingExchange exchange_;
  const Noising noising_;
  const FeatureCache images_;
  FurtherInput further_input_ = FurtherInput::kNone;
  int64_t sample_count_ = 0;
  torch::Tensor zero_embedding_;  // [1, E]
  std::shared_ptr<UNet2DConditionModel> unet_;
};

// Keep-masks [rows, 1, height, width], 1 where the image is kept: a rectangle of random place and size is
// to be painted, in one of eight rows everything.
torch::Tensor DrawKeepMasks(int64_t rows, int64_t height, int64_t width, at::Generator& random);

}  // namespace kandinsky::training
