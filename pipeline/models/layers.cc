#include "pipeline/models/layers.h"

#include <algorithm>

#include "pipeline/models/convolution_by_row.h"
#include "pipeline/models/matrix_product.h"

namespace kandinsky {
namespace {

// Gradients need the inputs of the overwritten operation.
bool MayOverwrite() { return !at::GradMode::is_enabled(); }

torch::Tensor LinearOf(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  return SuitsLinearByRow(x, weight) ? LinearByRow(x, weight, bias) : at::linear(x, weight, bias);
}

}  // namespace

Linear::Linear(int64_t in_features, int64_t out_features, bool with_bias) {
  weight = register_parameter("weight", torch::empty({out_features, in_features}), /*requires_grad=*/false);
  if (with_bias) bias = register_parameter("bias", torch::empty({out_features}), /*requires_grad=*/false);
}

torch::Tensor Linear::forward(const torch::Tensor& x) const { return LinearOf(x, weight, bias); }

Conv2d::Conv2d(const Conv2dOptions& options)
    : kernel_size_(options.kernel_size), stride_(options.stride), padding_(options.padding) {
  weight = register_parameter(
      "weight",
      torch::empty({options.out_channels, options.in_channels, options.kernel_size, options.kernel_size}),
      /*requires_grad=*/false);
  if (options.with_bias) {
    bias = register_parameter("bias", torch::empty({options.out_channels}), /*requires_grad=*/false);
  }
}

torch::Tensor Conv2d::forward(const torch::Tensor& x) const {
  if (winograd_weight_.panels.defined()) return WinogradConvolution(x, winograd_weight_, bias);
  if (kernel_size_ == 1 && stride_ == 1 && padding_ == 0 && x.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    // One matrix product over all pixels, without oneDNN's reordering of the weight.
    const torch::Tensor pixels = x.permute({0, 2, 3, 1});
    const torch::Tensor y = LinearOf(pixels.flatten(0, 2), weight.flatten(1), bias);
    return y.view({x.size(0), x.size(2), x.size(3), weight.size(0)}).permute({0, 3, 1, 2});
  }
  if (SuitsLinearByRow(x, weight)) return ConvolutionByRow(x, weight, bias, stride_, padding_);
  return at::conv2d(x, weight, bias, {stride_, stride_}, {padding_, padding_});
}

bool Conv2d::SuitsWinograd() const {
  // Layers with fewer channels are dominated by the transforms.
  constexpr int64_t kMinChannels = 16;
  const int64_t out_channels = weight.size(0);
  const int64_t in_channels = weight.size(1);
  return kernel_size_ == 3 && stride_ == 1 && padding_ == 1 && out_channels % 4 == 0 &&
         in_channels % 4 == 0 && std::min(out_channels, in_channels) >= kMinChannels &&
         weight.scalar_type() == torch::kFloat && weight.device().is_cpu() && !weight.requires_grad();
}

void Conv2d::PrepareForInference() {
  if (!weight.defined() || LoadTransformed(weight)) return;
  weight.set_data(weight.data().contiguous(at::MemoryFormat::ChannelsLast));
}

bool Conv2d::LoadTransformed(const torch::Tensor& stored) {
  const bool suits = stored.scalar_type() == torch::kFloat || stored.scalar_type() == torch::kHalf;
  if (!suits || !SuitsWinograd()) return false;
  winograd_weight_ = TransformWinogradWeight(stored);
  parameters_.erase("weight");
  weight.reset();
  return true;
}

void Conv2d::ShareWeights(const Conv2d& source) {
  TORCH_CHECK(bias.defined() == source.bias.defined(), "only one of two convolutions has a bias");
  winograd_weight_ = source.winograd_weight_;
  if (source.weight.defined()) {
    weight.set_data(source.weight.data());
  } else {
    parameters_.erase("weight");
    weight.reset();
  }
  if (bias.defined()) bias.set_data(source.bias.data());
}

std::shared_ptr<Conv2d> MakeConv3x3(int64_t in_channels, int64_t out_channels) {
  return std::make_shared<Conv2d>(Conv2dOptions{.in_channels = in_channels, .out_channels = out_channels});
}

std::shared_ptr<Conv2d> MakeConv1x1(int64_t in_channels, int64_t out_channels) {
  return std::make_shared<Conv2d>(Conv2dOptions{
      .in_channels = in_channels, .out_channels = out_channels, .kernel_size = 1, .padding = 0});
}

LayerNorm::LayerNorm(int64_t features, double eps) : eps_(eps) {
  weight = register_parameter("weight", torch::empty({features}), /*requires_grad=*/false);
  bias = register_parameter("bias", torch::empty({features}), /*requires_grad=*/false);
}

torch::Tensor LayerNorm::forward(const torch::Tensor& x) const {
  return at::layer_norm(x, weight.sizes(), weight, bias, eps_);
}

Embedding::Embedding(int64_t count, int64_t features) {
  weight = register_parameter("weight", torch::empty({count, features}), /*requires_grad=*/false);
}

torch::Tensor Embedding::forward(const torch::Tensor& ids) const { return at::embedding(weight, ids); }

torch::Tensor SumOf(torch::Tensor&& x, const torch::Tensor& y) { return MayOverwrite() ? x.add_(y) : x + y; }

torch::Tensor ScaleShiftOf(torch::Tensor&& x, const torch::Tensor& scale_shift) {
  const int64_t channels = x.size(1);
  const torch::Tensor scale = scale_shift.narrow(1, 0, channels).unsqueeze(2).unsqueeze(3) + 1;
  const torch::Tensor shift = scale_shift.narrow(1, channels, channels).unsqueeze(2).unsqueeze(3);
  // addcmul is one pass over memory, but vectorized only where the channels are the innermost dimension.
  if (x.is_contiguous(at::MemoryFormat::ChannelsLast)) return at::addcmul(shift, x, scale);
  return MayOverwrite() ? x.mul_(scale).add_(shift) : x * scale + shift;
}

void PrepareForInference(torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  module.apply([](torch::nn::Module& part) {
    if (auto* convolution = dynamic_cast<Conv2d*>(&part)) convolution->PrepareForInference();
  });
}

}  // namespace kandinsky
