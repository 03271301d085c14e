#pragma once

#include <cstdint>

#include "training/named_tensors.h"

namespace kandinsky::training {

// Exponential moving average of parameters (diffusers' EMAModel with its defaults): after optimizer step n
// (from 1) the average keeps min(decay, n / (n + 9)) of itself, at the first step nothing.
class ParameterAverage {
 public:
  // Begins as a copy of `parameters`. `decay` in 0..1.
  ParameterAverage(const NamedTensors& parameters, double decay);

  void Update(int64_t finished_steps);

  // Exchanges the values of average and parameters; twice is as never.
  void Swap();

  // The averages themselves, named as the parameters.
  const NamedTensors& State() const { return averages_; }

 private:
  const double decay_;
  const NamedTensors parameters_;
  NamedTensors averages_;
};

}  // namespace kandinsky::training
