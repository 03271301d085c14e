#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace kandinsky::testing {

// Fills every parameter with random values that keep activations of order one. The same seed gives the same
// weights.
void RandomizeParameters(torch::nn::Module& module, uint64_t seed);

// Normal random numbers from a generator of their own.
torch::Tensor RandomTensor(at::IntArrayRef shape, uint64_t seed);

// ||actual - expected|| / ||expected|| in float64; infinite when the shapes differ.
double RelativeL2(const torch::Tensor& actual, const torch::Tensor& expected);

torch::Tensor ChannelsLast(const torch::Tensor& x);

// Turns requires_grad on for every parameter.
void RequireGradients(torch::nn::Module& module);

// Names of the parameters whose gradient is missing, not finite or all zero.
std::vector<std::string> ParametersWithoutGradient(const torch::nn::Module& module);

}  // namespace kandinsky::testing
