#pragma once

#include <ATen/core/Generator.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/feature_cache.h"
#include "training/training_options.h"

namespace kandinsky::training {

// A network in training and the data it learns from: all that differs between the targets. Used by one
// thread.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  // In float32; its weights may be written to.
  virtual torch::nn::Module& network() = 0;
  // The folder that the network has in a checkpoint: "prior" or "unet".
  virtual const std::string& network_folder() const = 0;
  // The published files that it came from.
  virtual const NetworkFiles& files() const = 0;
  virtual int64_t sample_count() const = 0;

  // The mean loss of a batch of samples, a scalar to derive. Everything that is left to chance is drawn from
  // `random`, in a fixed order. Throws as libtorch does.
  virtual torch::Tensor Loss(absl::Span<const int64_t> samples, at::Generator& random) const = 0;
};

// Reads networks and data; features of frozen networks come from the cache or are computed now. NOT_FOUND or
// INVALID_ARGUMENT, naming the file, for what cannot be used.
absl::StatusOr<std::unique_ptr<TrainingTask>> MakeTrainingTask(const TrainingOptions& options,
                                                               const ModelDirectory& files,
                                                               const std::vector<TrainingSample>& samples,
                                                               const FeatureCache::Progress& progress);

}  // namespace kandinsky::training
