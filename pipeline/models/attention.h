#pragma once

#include <torch/types.h>

#include <cstdint>

namespace kandinsky {

// softmax(query key^T / sqrt(d) + bias) value: the one function all attention of all models goes through.
// query [N, heads, Lq, d], key and value [N, heads, Lk, d]; `bias` is undefined or broadcasts to
// [N, heads, Lq, Lk] in query's dtype. Returns [N, heads, Lq, d]. Any strides with contiguous d are fine.
torch::Tensor Attention(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                        const torch::Tensor& bias = {});

// [N, L, heads * d] -> [N, heads, L, d], a view.
torch::Tensor SplitHeads(const torch::Tensor& x, int64_t heads);

// [N, heads, L, d] -> [N, L, heads * d].
torch::Tensor MergeHeads(const torch::Tensor& x);

// [length, length] with 0 on and below the diagonal and `blocked` above, in the dtype and on the device of
// `like`.
torch::Tensor CausalBias(int64_t length, double blocked, const torch::Tensor& like);

}  // namespace kandinsky
