#pragma once

#include <torch/nn/module.h>

#include <string>

#include "absl/status/status.h"
#include "pipeline/weights/model_directory.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Writes a complete model in the published layout, `folder`/prior and `folder`/decoder, which the server and
// diffusers load: `network` in place of the one that was trained, everything else as in `files` (weights as
// hard links where the file system allows them, everything else copied). What was there before is replaced
// once all is written. UNAVAILABLE, naming the file, when something cannot be written; INVALID_ARGUMENT as
// CheckExportFolder and for a weight that is not finite as `stored_type`. Then what was there stays.
absl::Status ExportModel(const std::string& folder, const ModelDirectory& files, TrainingTarget target,
                         torch::nn::Module& network, StoredType stored_type);

// INVALID_ARGUMENT, naming the folder, when a part of `files` lies in `folder`, which an export would
// replace.
absl::Status CheckExportFolder(const std::string& folder, const ModelDirectory& files);

}  // namespace kandinsky::training
