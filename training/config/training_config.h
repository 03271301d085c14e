#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kandinsky/v1/training_config.pb.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Fills every field that is unset with its documented default. lora and ema stay absent when they are, and
// snr_gamma unset; the required fields have no defaults.
v1::TrainingConfig WithDefaults(const v1::TrainingConfig& config);

// Checks a config that WithDefaults made; looks at no file. INVALID_ARGUMENT with one line that names the
// first wrong field, its value and its rule.
absl::Status ValidateConfig(const v1::TrainingConfig& config);

// What `config` asks for, unset fields with their defaults. Errors of ValidateConfig.
absl::StatusOr<TrainingOptions> ToTrainingOptions(const v1::TrainingConfig& config);

}  // namespace kandinsky::training
