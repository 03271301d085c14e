#include "training/parameter_average.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace kandinsky::training {

ParameterAverage::ParameterAverage(const NamedTensors& parameters, double decay)
    : decay_(decay), parameters_(parameters) {
  for (const auto& [name, parameter] : parameters_) averages_.emplace_back(name, parameter.detach().clone());
}

void ParameterAverage::Update(int64_t finished_steps) {
  const at::NoGradGuard no_grad;
  const auto before = static_cast<double>(finished_steps - 1);
  // EMAModel.get_decay: nothing is kept at its first step.
  const double kept = before <= 0 ? 0.0 : std::min(decay_, (1 + before) / (10 + before));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    averages_[i].second.lerp_(parameters_[i].second.detach(), 1 - kept);
  }
}

void ParameterAverage::Swap() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor parameter = parameters_[i].second.detach();
    const torch::Tensor held = parameter.clone();
    parameter.copy_(averages_[i].second);
    averages_[i].second.copy_(held);
  }
}

}  // namespace kandinsky::training
