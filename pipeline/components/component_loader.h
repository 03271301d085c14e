#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/weights/lora.h"
#include "pipeline/weights/model_directory.h"

namespace kandinsky {

// Low-rank adapters for one network; without a path none.
struct LoraFile {
  std::string path;
  LoraUse use = {};
};

// Merges a file's adapters into a loaded module; nothing without a path. Errors as OpenCheckpoint and
// MergeLora.
absl::Status MergeLoraFile(const LoraFile& lora, torch::nn::Module& module);

// What is done with a component besides loading its weights.
struct ComponentOptions {
  LoraFile lora = {};  // merged into the weights
  // Brings the convolutions into the form that is fastest without gradients (PrepareForInference).
  bool prepare = true;
  // Copies weights that could be used where the file is mapped, so that they may be written to.
  bool writable = false;
};

// Loads networks in float32 on the CPU, all of them at once: the threads of libtorch read, convert and
// prepare tensor by tensor in the order of the files, so that besides the weights only a few tensors live at
// a time, and a further thread reads ahead. The bits do not depend on the number of threads. Used by one
// thread.
class ComponentLoader {
 public:
  // Builds the module of a configuration, whose weights come with Load. May throw what libtorch throws.
  template <typename Module, typename Config>
  std::shared_ptr<Module> Add(const Config& config, const NetworkFiles& files,
                              ComponentOptions options = {}) {
    auto module = std::make_shared<Module>(config);
    components_.push_back({module, files.weights, std::move(options)});
    return module;
  }

  // Fills everything that was added since the last call. Names and shapes of all components are compared
  // before any of them is read. Of several errors returns that of the component that was added first, as
  // LoadStrict and MergeLora word them; the modules are then unusable. NaN and infinity are only logged. Call
  // it outside of inference mode.
  absl::Status Load();

  struct Component {
    std::shared_ptr<torch::nn::Module> module;
    std::shared_ptr<const Checkpoint> weights;
    ComponentOptions options;
  };

 private:
  std::vector<Component> components_;
};

}  // namespace kandinsky
