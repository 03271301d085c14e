#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/weights/safetensors.h"

namespace kandinsky {

// How weights get into a module.
struct LoadOptions {
  // Floating-point tensors are converted to it; others keep the module's dtype.
  torch::ScalarType dtype = torch::kFloat;
  torch::Device device = torch::kCPU;
  // Names, on either side, that may be missing or left over. "*" matches any run of characters.
  std::vector<std::string> ignored = {"*.position_ids"};
  // A name prefix of the module's that the whole checkpoint may lack.
  std::string optional_prefix = "text_model.";
};

// The outcome of a load. Lists are sorted by name.
struct LoadReport {
  std::vector<std::string> missing;     // names that the module has and the checkpoint lacks
  std::vector<std::string> unexpected;  // names that the checkpoint has and the module lacks
  std::vector<std::string> misshapen;   // "name: [2, 3] in the file, [3, 2] in the model"
  std::vector<std::string> warnings;    // "name contains NaN or infinity"
  int64_t loaded_tensors = 0;
  int64_t copied_tensors = 0;  // of these, not used in place (converted or moved)

  bool ok() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
  // One line per finding, warnings last; at most `max_lines`, then how many more there are.
  std::string ToString(size_t max_lines = 20) const;
};

// A tensor of a module, by its name there, and the name under which a checkpoint has its data.
struct TensorAssignment {
  torch::Tensor target;
  std::string name;
  std::string source;
};

// The parts of LoadStrict, for loaders that bring the data in by other ways.
//
// What has to be assigned, in the module's order, or the error of LoadStrict for what does not fit. May throw
// what libtorch throws.
absl::StatusOr<std::vector<TensorAssignment>> MatchTensors(const torch::nn::Module& module,
                                                           const Checkpoint& checkpoint,
                                                           const LoadOptions& options, LoadReport& report);
// Whether a contiguous tensor on the CPU has neither NaN nor infinity.
bool IsFinite(const torch::Tensor& tensor);
// The line of LoadReport::warnings for one that has.
std::string NotFiniteWarning(const std::string& source);
// LoadStrict's error for what libtorch threw.
absl::Status LoadFailure(const Checkpoint& checkpoint, const std::exception& error);

// Replaces the data of every parameter and buffer of `module` by the checkpoint's tensor of the same name,
// without copying where dtype and device already fit; such tensors stay backed by the mapped
// file and must not be written to. All or nothing: INVALID_ARGUMENT with the findings, and an unchanged
// module, when any tensor is missing, unexpected or misshapen. RESOURCE_EXHAUSTED or INTERNAL when libtorch
// fails (the module is then unusable). NaN and infinity are only reported. `report` may be null.
absl::Status LoadStrict(torch::nn::Module& module, const Checkpoint& checkpoint,
                        const LoadOptions& options = {}, LoadReport* report = nullptr);

}  // namespace kandinsky
