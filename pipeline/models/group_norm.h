#pragma once

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>

namespace kandinsky {

// What follows a group norm at once, in the same pass over memory.
struct GroupNormEpilogue {
  // [N, 2C] or undefined: the normalized values become y * (1 + first half) + second half.
  torch::Tensor scale_shift = {};
  // Both undefined, or [N, C, h, w], nearest-enlarged to the size of the input: y * scale + shift. Not
  // together with `scale_shift`.
  torch::Tensor position_scale = {};
  torch::Tensor position_shift = {};
  // Then y * sigmoid(y).
  bool silu = false;
};

// Group normalization ("Group Normalization", Wu and He, 2018).
//
// PyTorch's kernel for channels_last adds up squares in single precision and subtracts: its error is up to a
// thousand times that of its kernel for the default format, and grows with the image. Inputs in
// channels_last (float32, on the CPU, no gradient recorded) therefore go through a kernel of our own, which
// gathers mean and variance in double precision: its error is that of one rounding of the result, whatever
// the mean. Its results depend neither on the other rows of the batch nor on the number of threads.
// Everything else goes through PyTorch's.
class GroupNorm : public torch::nn::Module {
 public:
  // `channels` is a multiple of `groups`.
  GroupNorm(int64_t groups, int64_t channels, double eps);

  // [N, channels, ...] -> the same shape and memory format. Position scale and shift need [N, channels, H,
  // W].
  torch::Tensor forward(const torch::Tensor& x, const GroupNormEpilogue& epilogue = {}) const;

  // The same for an `x` that nobody else uses: reuses its memory where the kernel of our own takes it.
  torch::Tensor ForwardInPlace(torch::Tensor&& x, const GroupNormEpilogue& epilogue = {}) const;

  torch::Tensor weight;  // [channels]
  torch::Tensor bias;    // [channels]

 private:
  torch::Tensor Normalize(const torch::Tensor& x, const GroupNormEpilogue& epilogue,
                          const torch::Tensor& output) const;
  torch::Tensor WithPyTorch(const torch::Tensor& x, const GroupNormEpilogue& epilogue) const;
  bool SuitsKernel(const torch::Tensor& x, const GroupNormEpilogue& epilogue) const;

  const int64_t groups_;
  const double eps_;
};

}  // namespace kandinsky
