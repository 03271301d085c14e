#include "training/initial_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "pipeline/models/layers.h"

namespace kandinsky::training {
namespace {

void Uniform(torch::Tensor& weight, torch::Tensor& bias, at::Generator& generator) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight[0].numel()));
  weight.uniform_(-bound, bound, generator);
  if (bias.defined()) bias.uniform_(-bound, bound, generator);
}

template <typename Norm>
bool FillNorm(torch::nn::Module& part) {
  auto* norm = part.as<Norm>();
  if (norm == nullptr) return false;
  norm->weight.fill_(1);
  norm->bias.fill_(0);
  return true;
}

}  // namespace

void InitializeWeights(torch::nn::Module& module, uint64_t seed) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  module.apply([&](torch::nn::Module& part) {
    if (auto* linear = part.as<Linear>()) return Uniform(linear->weight, linear->bias, generator);
    if (auto* convolution = part.as<Conv2d>()) {
      return Uniform(convolution->weight, convolution->bias, generator);
    }
    if (auto* embedding = part.as<Embedding>()) {
      embedding->weight.normal_(0, 1, generator);
      return;
    }
    if (FillNorm<LayerNorm>(part) || FillNorm<GroupNorm>(part)) return;
    for (torch::Tensor& parameter : part.parameters(/*recurse=*/false)) parameter.fill_(0);
  });
}

}  // namespace kandinsky::training
