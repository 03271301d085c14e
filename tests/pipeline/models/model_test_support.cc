#include "tests/pipeline/models/model_test_support.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <limits>

namespace kandinsky::testing {

void RandomizeParameters(torch::nn::Module& module, uint64_t seed) {
  at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (auto& parameter : module.named_parameters()) {
    torch::Tensor& value = parameter.value();
    value.normal_(0, 1, generator);
    if (value.dim() > 1) {
      value.div_(std::sqrt(static_cast<double>(value[0].numel())));
    } else {
      value.mul_(0.2).add_(parameter.key().ends_with("weight") ? 1 : 0);
    }
  }
}

torch::Tensor RandomTensor(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed));
}

double RelativeL2(const torch::Tensor& actual, const torch::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  const torch::Tensor reference = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - reference).norm() / reference.norm()).item<double>();
}

torch::Tensor ChannelsLast(const torch::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

void RequireGradients(torch::nn::Module& module) {
  for (torch::Tensor& parameter : module.parameters()) parameter.requires_grad_(true);
}

std::vector<std::string> ParametersWithoutGradient(const torch::nn::Module& module) {
  std::vector<std::string> names;
  for (const auto& parameter : module.named_parameters()) {
    const torch::Tensor& gradient = parameter.value().grad();
    const bool useful =
        gradient.defined() && gradient.isfinite().all().item<bool>() && gradient.ne(0).any().item<bool>();
    if (!useful) names.push_back(parameter.key());
  }
  return names;
}

}  // namespace kandinsky::testing
