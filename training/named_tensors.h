#pragma once

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

// Tensors by their names in a checkpoint, in a fixed order. Copies share the tensors' memory.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

}  // namespace kandinsky
