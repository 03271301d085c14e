#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/models/elementwise.h"
#include "pipeline/models/group_norm.h"
#include "pipeline/models/winograd_convolution.h"

namespace kandinsky {

// The elementary layers all models are made of: the one place where faster kernels and packed weights belong.
//
// Parameters are created uninitialized, without touching their memory, and without requires_grad (call
// requires_grad_ on parameters() to train). Every forward is const, differentiable, and safe to call from
// several threads as long as nobody changes the parameters. Activations keep the memory format they come in.

// y = x W^T + b over the last dimension.
class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in_features, int64_t out_features, bool with_bias = true);

  // [..., in_features] -> [..., out_features].
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  // [out_features, in_features]
  torch::Tensor bias;    // [out_features], undefined without bias
};

// Geometry of a convolution with a square kernel.
struct Conv2dOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel_size = 3;
  int64_t stride = 1;
  int64_t padding = 1;
  bool with_bias = true;
};

class Conv2d : public torch::nn::Module {
 public:
  explicit Conv2d(const Conv2dOptions& options);

  // [N, in_channels, H, W] -> [N, out_channels, H', W']. Fastest with channels_last activations in a module
  // that is prepared for inference.
  torch::Tensor forward(const torch::Tensor& x) const;

  // See the functions of these names.
  void PrepareForInference();
  // Loads and prepares at once: takes the Winograd transform of `stored`, which is contiguous and has the
  // shape of `weight`, without a copy of it in float32. Returns false, and changes nothing, where the layer
  // is prepared in another way or `stored` is neither float32 nor of half precision.
  bool LoadTransformed(const torch::Tensor& stored);
  void ShareWeights(const Conv2d& source);

  // What is there instead of `weight` after PrepareForInference; undefined where `weight` is.
  const torch::Tensor& transformed_weight() const { return winograd_weight_.panels; }

  torch::Tensor weight;  // [out_channels, in_channels, kernel_size, kernel_size]; see PrepareForInference
  torch::Tensor bias;    // [out_channels], undefined without bias

 private:
  bool SuitsWinograd() const;

  const int64_t kernel_size_;
  const int64_t stride_;
  const int64_t padding_;
  WinogradWeight winograd_weight_;  // instead of `weight` where its panels are defined
};

// A 3x3 convolution that keeps height and width.
std::shared_ptr<Conv2d> MakeConv3x3(int64_t in_channels, int64_t out_channels);
// A 1x1 convolution.
std::shared_ptr<Conv2d> MakeConv1x1(int64_t in_channels, int64_t out_channels);

class LayerNorm : public torch::nn::Module {
 public:
  explicit LayerNorm(int64_t features, double eps = 1e-5);

  // [..., features] -> the same shape.
  torch::Tensor forward(const torch::Tensor& x) const;

  torch::Tensor weight;  // [features]
  torch::Tensor bias;    // [features]

 private:
  const double eps_;
};

class Embedding : public torch::nn::Module {
 public:
  Embedding(int64_t count, int64_t features);

  // ids int64 [...] in 0..count-1 -> [..., features]. Throws c10::Error for an id out of range.
  torch::Tensor forward(const torch::Tensor& ids) const;

  torch::Tensor weight;  // [count, features]
};

// Modules of one type, registered as "0", "1", ... times `index_stride`: 2 stands for a published Sequential
// with a parameter-free activation after every element.
template <typename T>
class TypedModuleList : public torch::nn::Module {
 public:
  explicit TypedModuleList(size_t index_stride = 1) : index_stride_(index_stride) {}

  void push_back(std::shared_ptr<T> module) {
    modules_.push_back(register_module(std::to_string(modules_.size() * index_stride_), std::move(module)));
  }
  T& operator[](size_t index) const { return *modules_[index]; }
  size_t size() const { return modules_.size(); }
  auto begin() const { return modules_.begin(); }
  auto end() const { return modules_.end(); }

 private:
  const size_t index_stride_;
  std::vector<std::shared_ptr<T>> modules_;
};

// x + y for an `x` that nobody else uses: reuses its memory when no gradient is recorded.
torch::Tensor SumOf(torch::Tensor&& x, const torch::Tensor& y);

// x * (1 + scale) + shift with x [N, C, H, W] that nobody else uses, and scale_shift [N, 2C] (scale first).
torch::Tensor ScaleShiftOf(torch::Tensor&& x, const torch::Tensor& scale_shift);

// Changes the weights of every convolution inside `module` to the form that is fastest for channels_last
// activations without gradients. 3x3 convolutions of stride 1 (float32 on the CPU) swap their weight for its
// Winograd transform, 16/9 of its size: it is no parameter any more and must not be loaded into. The other
// weights become channels_last. Modules that require gradients stay trainable. Call it once, after loading,
// before the module is shared, and outside of inference mode.
void PrepareForInference(torch::nn::Module& module);

}  // namespace kandinsky
