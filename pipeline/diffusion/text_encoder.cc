#include "pipeline/diffusion/text_encoder.h"

namespace kandinsky {

TextFeatures SelectRows(const TextFeatures& features, int64_t begin, int64_t count) {
  const auto rows = [&](const torch::Tensor& tensor) {
    return tensor.defined() ? tensor.narrow(0, begin, count) : tensor;
  };
  return {rows(features.pooled), rows(features.hidden_states), rows(features.mask)};
}

}  // namespace kandinsky
