#include "training/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace kandinsky::training {
namespace {

torch::Tensor NoSteps() { return torch::zeros({1}); }

}  // namespace

double ClipGradients(const NamedTensors& parameters, double max_norm) {
  double squares = 0;
  for (const auto& [name, parameter] : parameters) {
    if (!parameter.grad().defined()) continue;
    const double norm = parameter.grad().norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  const double factor = max_norm / (norm + 1e-6);
  if (max_norm > 0 && factor < 1) {
    for (const auto& [name, parameter] : parameters) {
      if (parameter.grad().defined()) torch::Tensor(parameter.grad()).mul_(factor);
    }
  }
  return norm;
}

std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerOptions& options, NamedTensors parameters) {
  if (options.kind == OptimizerKind::kAdafactor) {
    return std::make_unique<Adafactor>(options, std::move(parameters));
  }
  return std::make_unique<AdamW>(options, std::move(parameters));
}

AdamW::AdamW(const OptimizerOptions& options, NamedTensors parameters)
    : options_(options), parameters_(std::move(parameters)) {
  for (const auto& [name, parameter] : parameters_) {
    averages_.push_back(at::zeros_like(parameter.detach()));
    squares_.push_back(at::zeros_like(parameter.detach()));
    steps_.push_back(NoSteps());
  }
}

void AdamW::Step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<torch::Tensor> parameters;
  std::vector<torch::Tensor> gradients;
  std::vector<torch::Tensor> averages;
  std::vector<torch::Tensor> squares;
  std::vector<torch::Tensor> steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& parameter = parameters_[i].second;
    if (!parameter.grad().defined()) continue;
    steps_[i].add_(1);
    parameters.push_back(parameter.detach());
    gradients.push_back(parameter.grad());
    averages.push_back(averages_[i]);
    squares.push_back(squares_[i]);
    steps.push_back(steps_[i]);
  }
  if (parameters.empty()) return;
  at::_fused_adamw_(parameters, gradients, averages, squares, /*max_exp_avg_sqs=*/{}, steps, learning_rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

NamedTensors AdamW::State() const {
  NamedTensors state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back("exp_avg." + parameters_[i].first, averages_[i]);
    state.emplace_back("exp_avg_sq." + parameters_[i].first, squares_[i]);
    state.emplace_back("step." + parameters_[i].first, steps_[i]);
  }
  return state;
}

Adafactor::Adafactor(const OptimizerOptions& options, NamedTensors parameters)
    : options_(options), parameters_(std::move(parameters)) {
  for (const auto& [name, parameter] : parameters_) {
    const torch::Tensor like = parameter.detach();
    Memory memory;
    memory.step = NoSteps();
    if (like.dim() >= 2) {
      memory.rows = at::zeros_like(like.select(-1, 0), at::MemoryFormat::Contiguous);
      memory.columns = at::zeros_like(like.select(-2, 0), at::MemoryFormat::Contiguous);
    } else {
      memory.values = at::zeros_like(like);
    }
    memories_.push_back(std::move(memory));
  }
}

torch::Tensor Adafactor::Direction(const torch::Tensor& gradient, Memory& memory) {
  constexpr double kDecayRate = -0.8;
  constexpr double kEpsilon = 1e-30;
  memory.step.add_(1);
  const double kept = 1.0 - std::pow(memory.step.item<float>(), kDecayRate);
  const torch::Tensor squared = gradient.square() + kEpsilon;
  if (memory.values.defined()) {
    memory.values.mul_(kept).add_(squared, 1.0 - kept);
    return memory.values.rsqrt() * gradient;
  }
  memory.rows.mul_(kept).add_(squared.mean(-1), 1.0 - kept);
  memory.columns.mul_(kept).add_(squared.mean(-2), 1.0 - kept);
  const torch::Tensor row_factor = (memory.rows / memory.rows.mean(-1, /*keepdim=*/true)).rsqrt();
  return row_factor.unsqueeze(-1) * memory.columns.unsqueeze(-2).rsqrt() * gradient;
}

void Adafactor::Step(double learning_rate) {
  constexpr double kClipThreshold = 1.0;
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor parameter = parameters_[i].second.detach();
    const torch::Tensor& gradient = parameters_[i].second.grad();
    if (!gradient.defined()) continue;
    torch::Tensor direction = Direction(gradient, memories_[i]);
    const double size = direction.norm().item<double>() / std::sqrt(static_cast<double>(direction.numel()));
    direction.mul_(learning_rate / std::max(1.0, size / kClipThreshold));
    if (options_.weight_decay != 0) parameter.mul_(1.0 - options_.weight_decay * learning_rate);
    parameter.sub_(direction);
  }
}

NamedTensors Adafactor::State() const {
  NamedTensors state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto add = [&, this](const char* kind, const torch::Tensor& tensor) {
      if (tensor.defined()) state.emplace_back(kind + parameters_[i].first, tensor);
    };
    add("exp_avg_sq_row.", memories_[i].rows);
    add("exp_avg_sq_col.", memories_[i].columns);
    add("exp_avg_sq.", memories_[i].values);
    add("step.", memories_[i].step);
  }
  return state;
}

}  // namespace kandinsky::training
