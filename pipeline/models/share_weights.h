#pragma once

#include <torch/nn/module.h>

namespace kandinsky {

// Lets `target`, a module of the same configuration that was just made, use the weights of `source`, which
// may be prepared for inference: every tensor of the two shares its memory, and so does what
// PrepareForInference made of it. Whoever then replaces a tensor of `target` (set_data, as MergeLora does)
// leaves `source` alone; nobody may write into the shared memory. Outside of inference mode. Throws
// c10::Error, and `target` is unusable then, when the two differ in parts, tensors or shapes.
void ShareWeights(const torch::nn::Module& source, torch::nn::Module& target);

}  // namespace kandinsky
