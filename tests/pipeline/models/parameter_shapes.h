#pragma once

#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace kandinsky {

// Published name and shape of every parameter inside `module`, a module's own parameters before those of its
// children, each in registration order. Touches no weights.
std::vector<std::pair<std::string, std::vector<int64_t>>> ParameterShapes(const torch::nn::Module& module);

}  // namespace kandinsky
