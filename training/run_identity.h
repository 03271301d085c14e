#pragma once

#include <string>
#include <vector>

#include "pipeline/weights/model_directory.h"
#include "training/dataset/caption_dataset.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Everything that decides a run's losses: its seed, batches, data, network and its rates. Two runs with the
// same identity can continue each other; how long they are and what they write may differ.
RunIdentity RunIdentityOf(const TrainingOptions& options, const ModelDirectory& files,
                          const std::vector<TrainingSample>& samples);

// Every field in which two identities differ, e.g. "batch_size was 4 and is 2, seed was 1 and is not set".
// Empty when they are equal.
std::string IdentityDifferences(const RunIdentity& before, const RunIdentity& now);

}  // namespace kandinsky::training
