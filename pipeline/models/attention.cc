#include "pipeline/models/attention.h"

#include <ATen/ATen.h>

#include "pipeline/models/attention_by_row.h"

namespace kandinsky {

torch::Tensor Attention(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                        const torch::Tensor& bias) {
  if (!at::GradMode::is_enabled() && query.device().is_cpu() && query.scalar_type() == at::kFloat) {
    return AttentionByRow(query, key, value, bias);
  }
  const std::optional<torch::Tensor> mask = bias.defined() ? std::make_optional(bias) : std::nullopt;
  return at::scaled_dot_product_attention(query, key, value, mask);
}

torch::Tensor SplitHeads(const torch::Tensor& x, int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

torch::Tensor MergeHeads(const torch::Tensor& x) { return x.transpose(1, 2).flatten(2); }

torch::Tensor CausalBias(int64_t length, double blocked, const torch::Tensor& like) {
  return at::full({length, length}, blocked, like.options()).triu(1);
}

}  // namespace kandinsky
