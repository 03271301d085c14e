#pragma once

#include <string>

#include "absl/status/status.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Makes one image for each validation prompt with the model in `model_folder` (of ExportModel), through the
// same pipeline that serves requests, and writes them to `output_folder` as 0.png, 1.png, ... Image i has
// the seed `seed` + i, so that those of different steps are comparable.
absl::Status WriteValidationImages(const std::string& model_folder, const ValidationOptions& options,
                                   uint64_t seed, int threads, const std::string& output_folder);

}  // namespace kandinsky::training
