#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "training/named_tensors.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Where a training stands: everything that the next step depends on but the options and the data. The tensors
// are the live ones.
struct TrainingState {
  int64_t finished_steps = 0;  // optimizer steps
  NamedTensors weights;        // of the whole network, or of its adapters
  NamedTensors average;        // empty without one
  NamedTensors optimizer;
};

// How the state is laid out on disk.
struct CheckpointLayout {
  std::string network_folder;  // "prior" or "unet"; the average is in "<network_folder>_ema"
  std::string config_text;     // config.json of the network
  // Set when the weights are adapters, in pytorch_lora_weights.safetensors. Reading takes either form of
  // names.
  std::optional<LoraOptions> adapters = {};
  RunIdentity run_identity;  // what a run must have in common with the one that it continues
};

// "<output_folder>/checkpoint-<finished_steps>".
std::string CheckpointFolder(const std::string& output_folder, int64_t finished_steps);

// Writes a checkpoint folder in the layout of diffusers' training scripts (prior/, prior_ema/ or unet/,
// unet_ema/), with optimizer.safetensors and training_state.json. The folder appears complete or not at all:
// when a write fails, e.g. since the disk is full, what is there stays as it was and the error names the
// file.
absl::Status WriteCheckpoint(const std::string& folder, const CheckpointLayout& layout,
                             const TrainingState& state);

// Copies a checkpoint into the tensors of `state`. INVALID_ARGUMENT, naming file and tensor, when the
// checkpoint is of another network, optimizer or run; `state` is then unchanged.
absl::Status ReadCheckpoint(const std::string& folder, const CheckpointLayout& layout, TrainingState& state);

// The finished steps of a checkpoint. INVALID_ARGUMENT, naming the file and every field that differs, when it
// is of another run.
absl::StatusOr<int64_t> CheckCheckpoint(const std::string& folder, const RunIdentity& run_identity);

// The checkpoint folder that a run with this `resume` goes on from: itself, the one with the most steps for
// "latest", or "" to start anew. So that the checkpoints of one run never mix with those of another:
// FAILED_PRECONDITION, naming the folder, when a new run finds checkpoints, or one that is resumed finds
// later ones than its own. NOT_FOUND when there is no latest one.
absl::StatusOr<std::string> CheckpointToResume(const std::string& output_folder, const std::string& resume);

// Deletes all but the `keep` checkpoint folders with the most steps. 0 keeps all.
void RemoveOldCheckpoints(const std::string& output_folder, int keep);

}  // namespace kandinsky::training
