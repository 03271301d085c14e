#pragma once

#include <torch/nn/module.h>

#include <cstdint>

namespace kandinsky::training {

// Fills every parameter as PyTorch and diffusers do for a new network: weights and biases of linear and
// convolution layers uniform within 1 / sqrt(inputs), norms 1 and 0, embeddings normal, the tokens that the
// prior learns 0. The same seed gives the same values.
void InitializeWeights(torch::nn::Module& module, uint64_t seed);

}  // namespace kandinsky::training
