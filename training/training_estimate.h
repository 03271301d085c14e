#pragma once

#include <algorithm>
#include <cstdint>
#include <ostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "training/training_options.h"

namespace kandinsky::training {

// What a training takes: a dry run of one forward and backward pass of the network with random inputs, when
// there is memory for it, measured on this machine. The network has the size of that in options.decoder_path
// and options.prior_path, further input channels included; without a path, that of the published
// Kandinsky 2.2.
struct TrainingEstimate {
  int64_t parameters = 0;
  int64_t trained_parameters = 0;  // fewer with adapters
  int64_t weight_bytes = 0;
  int64_t gradient_bytes = 0;
  int64_t optimizer_bytes = 0;
  int64_t average_bytes = 0;
  int64_t activation_bytes = -1;  // of one batch, at their peak; -1: not measured
  double seconds_per_batch = -1;  // forward and backward; -1: not measured

  int64_t TotalBytes() const {
    return weight_bytes + gradient_bytes + optimizer_bytes + average_bytes +
           std::max<int64_t>(activation_bytes, 0);
  }
};

// What does not fit into `available_bytes` is not measured, only counted. NOT_FOUND when a LoRA target names
// no layer; the errors of OpenTrainingModel and of the configuration of a network, which name the file.
absl::StatusOr<TrainingEstimate> EstimateTraining(const TrainingOptions& options, int64_t available_bytes);

// Prints the estimate for the target of the options on this machine.
absl::Status PrintEstimate(const TrainingOptions& options, std::ostream& out);

}  // namespace kandinsky::training
