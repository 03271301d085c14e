#pragma once

#include <torch/types.h>

namespace kandinsky {

// Attention of float32 tensors on the CPU, block by block with a running softmax (Dao et al.,
// "FlashAttention", 2022). The bits of a query's result depend on this query, its row's keys and values and
// its bias alone: not on the other rows and queries, nor on the number of threads. Shapes are those of
// Attention(); records no gradient.
torch::Tensor AttentionByRow(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                             const torch::Tensor& bias);

}  // namespace kandinsky
