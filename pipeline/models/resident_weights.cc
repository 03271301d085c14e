#include "pipeline/models/resident_weights.h"

#include "pipeline/models/layers.h"

namespace kandinsky {

void ResidentWeights::Add(const torch::nn::Module& module) {
  for (const auto& part : module.modules()) {
    for (const torch::Tensor& tensor : part->parameters(/*recurse=*/false)) Add(tensor);
    for (const torch::Tensor& tensor : part->buffers(/*recurse=*/false)) Add(tensor);
    const auto* convolution = dynamic_cast<const Conv2d*>(part.get());
    if (convolution != nullptr && convolution->transformed_weight().defined()) {
      Add(convolution->transformed_weight());
    }
  }
}

void ResidentWeights::Add(const torch::Tensor& tensor) {
  if (tensor.numel() == 0 || !seen_.insert(tensor.const_data_ptr()).second) return;
  bytes_ += static_cast<int64_t>(tensor.nbytes());
}

}  // namespace kandinsky
