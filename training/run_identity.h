#pragma once

#include <string>
#include <vector>

#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/training_options.h"

namespace kandinsky {

// Everything that decides a run's losses, as a text: its seed, batches, data, network and its rates. Two runs
// with the same identity can continue each other; how long they are and what they write may differ.
std::string RunIdentityOf(const TrainingOptions& options, const ModelDirectory& files,
                          const std::vector<TrainingSample>& samples);

}  // namespace kandinsky
