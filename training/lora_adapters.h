#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "pipeline/models/layers.h"
#include "training/named_tensors.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Adapters in training on the linear layers of a module: down normal with the standard deviation 1 / rank, up
// zero, so that the module begins as it was. Used by one thread.
class LoraAdapters {
 public:
  // Adapts every Linear of `module` whose name ends in one of the targets ("to_q", "to_out.0"), and draws the
  // factors from `seed`. NOT_FOUND when a target names no layer. `module` outlives the adapters.
  static absl::StatusOr<LoraAdapters> Attach(torch::nn::Module& module, const LoraOptions& options,
                                             uint64_t seed);

  // The factors, by their names in files of the form that the options ask for.
  const NamedTensors& parameters() const { return parameters_; }

  // Gives the layers their adapted weights, W + up down, through which gradients reach the factors. To be
  // called before each forward pass, since the factors change.
  void Apply();

  // Gives the layers their own weights back, and lets go of what Apply has computed.
  void Remove();

  // Writes the adapted weights into the layers' own, as a file of adapters that is merged at load does, and
  // takes them out again, to the bit.
  void Merge();
  void Unmerge();

 private:
  struct Adapter {
    Linear* layer;
    torch::Tensor base;           // the layer's own weight, a parameter of the network
    torch::Tensor unmerged = {};  // its values while they are merged
    torch::Tensor down;
    torch::Tensor up;
  };

  std::vector<Adapter> adapters_;
  NamedTensors parameters_;
};

// Writes factors that LoraAdapters::parameters named, or an average of them, as a file of the options' form.
absl::Status WriteLoraFile(const std::string& path, const NamedTensors& factors, const LoraOptions& options);

}  // namespace kandinsky::training
