#pragma once

#include <atomic>
#include <ostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/weights/model_directory.h"
#include "training/training_options.h"

namespace kandinsky::training {

// The model that a training begins with; errors as OpenModelDirectory.
absl::StatusOr<ModelDirectory> OpenTrainingModel(const TrainingOptions& options);

// Reads the data, trains, and writes into options.output_folder: checkpoints, metrics.jsonl, loss.svg,
// validation images, and at the end the model (model/, published layout) and with LoRA the adapters
// (pytorch_lora_weights.safetensors). Blocks until the end, or until `stop` is set: then a checkpoint is
// written and the status is CANCELLED. Errors name the field, file or step. `out` is told how it goes.
absl::Status RunTraining(const TrainingOptions& options, const ModelDirectory& files,
                         const std::atomic<bool>& stop, std::ostream& out, bool terminal);

}  // namespace kandinsky::training
