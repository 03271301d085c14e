#pragma once

#include <cstdint>
#include <memory>

#include "training/named_tensors.h"
#include "training/training_options.h"

namespace kandinsky::training {

// Changes parameters by their gradients. Everything that it remembers between steps is in tensors that exist
// from the beginning, so that a checkpoint is a copy of them. Used by one thread.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One step with the gradients that the parameters have; those without a gradient stay as they are.
  virtual void Step(double learning_rate) = 0;

  // The memory itself, by name ("exp_avg.<parameter>", "step.<parameter>"): what is copied into these tensors
  // continues from there.
  virtual NamedTensors State() const = 0;
};

// Scales the gradients so that their common norm is at most `max_norm` (0: leaves them), as
// torch.nn.utils.clip_grad_norm_. Returns the norm that they had.
double ClipGradients(const NamedTensors& parameters, double max_norm);

// `parameters` are leaves that require gradients.
std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerOptions& options, NamedTensors parameters);

// AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW computes it.
class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerOptions& options, NamedTensors parameters);
  void Step(double learning_rate) override;
  NamedTensors State() const override;

 private:
  const OptimizerOptions options_;
  const NamedTensors parameters_;
  std::vector<torch::Tensor> averages_;  // of gradients, as the parameters
  std::vector<torch::Tensor> squares_;   // of squared gradients, as the parameters
  std::vector<torch::Tensor> steps_;     // float32, one value each
};

// Adafactor (Shazeer and Stern 2018) with a given learning rate and without first moment, as transformers'
// Adafactor with scale_parameter and relative_step off: the optimizer of the original training script.
// Matrices keep one average per row and one per column instead of one per value.
class Adafactor final : public Optimizer {
 public:
  Adafactor(const OptimizerOptions& options, NamedTensors parameters);
  void Step(double learning_rate) override;
  NamedTensors State() const override;

 private:
  // One of `rows` and `columns`, or `values`, by the parameter's dimensions.
  struct Memory {
    torch::Tensor rows;
    torch::Tensor columns;
    torch::Tensor values;
    torch::Tensor step;  // float32, one value
  };

  // The direction of the step before clipping; moves the averages on.
  static torch::Tensor Direction(const torch::Tensor& gradient, Memory& memory);

  const OptimizerOptions options_;
  const NamedTensors parameters_;
  std::vector<Memory> memories_;
};

}  // namespace kandinsky::training
