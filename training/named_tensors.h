#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky::training {

// Tensors by their names in a checkpoint, in a fixed order. Copies share the tensors' memory.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// Numbers in all of them together.
inline int64_t CountNumbers(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += tensor.numel();
  return count;
}

}  // namespace kandinsky::training
