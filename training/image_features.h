#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/feature_cache.h"
#include "training/frozen_networks.h"

namespace kandinsky::training {

// What the frozen networks are asked to make of the images.
struct ImageFeatureRequest {
  bool latents = false;  // of MOVQ, from the middle square in `resolution` pixels
  int resolution = 0;
  int hint_resolution = 0;  // pixels of the middle square of the hint images; 0: no hints
};

// The features of every image of a dataset, from `cache_folder` or computed: rows "image_embeds" [E], and
// as requested "latents" [4, h, w] and "hint" uint8 [3, hint_resolution, hint_resolution]. An image that
// cannot be read is INVALID_ARGUMENT naming it and the line of the table.
absl::StatusOr<FeatureCache> OpenImageFeatures(const ModelDirectory& files, const FrozenImageEncoder& vision,
                                               const std::vector<TrainingSample>& samples,
                                               const ImageFeatureRequest& request,
                                               const std::string& cache_folder,
                                               const FeatureCache::Progress& progress);

}  // namespace kandinsky::training
