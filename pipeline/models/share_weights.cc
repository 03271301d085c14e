#include "pipeline/models/share_weights.h"

#include <ATen/ATen.h>

#include "pipeline/models/layers.h"

namespace kandinsky {
namespace {

void ShareTensors(const torch::OrderedDict<std::string, torch::Tensor>& sources,
                  const torch::OrderedDict<std::string, torch::Tensor>& targets) {
  TORCH_CHECK(sources.size() == targets.size(), "the modules have different tensors");
  for (const auto& source : sources) {
    const torch::Tensor& target = targets[source.key()];
    TORCH_CHECK(target.sizes() == source.value().sizes(), "the modules differ in the shape of ",
                source.key());
    target.set_data(source.value().data());
  }
}

}  // namespace

void ShareWeights(const torch::nn::Module& source, torch::nn::Module& target) {
  const at::NoGradGuard no_grad;
  const auto sources = source.modules();
  const auto targets = target.modules();
  TORCH_CHECK(sources.size() == targets.size(), "the modules have different parts");
  for (size_t i = 0; i < sources.size(); ++i) {
    if (auto* convolution = dynamic_cast<Conv2d*>(targets[i].get())) {
      const auto* source_convolution = dynamic_cast<const Conv2d*>(sources[i].get());
      TORCH_CHECK(source_convolution != nullptr, "a convolution faces another module");
      convolution->ShareWeights(*source_convolution);
      continue;
    }
    ShareTensors(sources[i]->named_parameters(/*recurse=*/false),
                 targets[i]->named_parameters(/*recurse=*/false));
    ShareTensors(sources[i]->named_buffers(/*recurse=*/false), targets[i]->named_buffers(/*recurse=*/false));
  }
}

}  // namespace kandinsky
