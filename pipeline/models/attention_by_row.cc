#include "pipeline/models/attention_by_row.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pipeline/models/matrix_kernel.h"
#include "pipeline/models/parallel.h"
#include "pipeline/models/softmax_kernel.h"

namespace kandinsky {
namespace {

constexpr int64_t kQueries = 48;  // of a task
constexpr int64_t kKeys = kBlockDepth;
constexpr float kNone = -std::numeric_limits<float>::infinity();

int64_t Panels(int64_t columns) { return (columns + kPanelColumns - 1) / kPanelColumns; }

// Keys and values of all heads in the form that the products read: a head's keys as [panels of keys, d, 32],
// its values as [panels of d, keys, 32].
class PackedContext {
 public:
  PackedContext(const torch::Tensor& key, const torch::Tensor& value)
      : length(key.size(2)),
        depth(key.size(3)),
        keys_(at::empty({key.size(0) * key.size(1), Panels(length), depth, kPanelColumns}, key.options())),
        values_(at::empty({key.size(0) * key.size(1), Panels(depth), length, kPanelColumns}, key.options())) {
    ParallelFor(0, keys_.size(0), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
      for (int64_t head = begin; head < end; ++head) Pack(key, value, head);
    });
  }

  // The panel of the keys from number 32 * panel, from `row` of its d rows.
  const float* KeyPanel(int64_t head, int64_t panel, int64_t row) const {
    return keys_.const_data_ptr<float>() + ((head * Panels(length) + panel) * depth + row) * kPanelColumns;
  }
  // The panel of the values' columns from number 32 * panel, from key `row`.
  const float* ValuePanel(int64_t head, int64_t panel, int64_t row) const {
    return values_.const_data_ptr<float>() + ((head * Panels(depth) + panel) * length + row) * kPanelColumns;
  }

  const int64_t length;  // keys of a head
  const int64_t depth;   // d

 private:
  static ConstRows HeadOf(const torch::Tensor& x, int64_t head) {
    const int64_t heads = x.size(1);
    return {x.const_data_ptr<float>() + head / heads * x.stride(0) + head % heads * x.stride(1), x.stride(2)};
  }

  void Pack(const torch::Tensor& key, const torch::Tensor& value, int64_t head) {
    const ConstRows keys = HeadOf(key, head);
    float* to = keys_.mutable_data_ptr<float>() + head * keys_.stride(0);
    for (int64_t first = 0; first < length; first += kPanelColumns, to += depth * kPanelColumns) {
      PackTransposed({keys.data + first * keys.stride, keys.stride}, std::min(kPanelColumns, length - first),
                     depth, to);
    }
    const ConstRows values = HeadOf(value, head);
    to = values_.mutable_data_ptr<float>() + head * values_.stride(0);
    for (int64_t first = 0; first < depth; first += kPanelColumns, to += length * kPanelColumns) {
      PackPlain({values.data + first, values.stride}, std::min(kPanelColumns, depth - first), length, to);
    }
  }

  torch::Tensor keys_;
  torch::Tensor values_;
};

// Some queries of one head, and what is computed of them so far.
class QueryBlock {
 public:
  explicit QueryBlock(const PackedContext& context)
      : context_(context),
        width_(Panels(context.depth) * kPanelColumns),
        scores_(kQueries * kKeys),
        sums_(static_cast<size_t>(kQueries * width_)) {}

  // queries.data: the first of `count` queries of head number `head`; `bias` the same of the bias, without
  // data for none; `to` of the result.
  void Run(ConstRows queries, int64_t count, int64_t head, ConstRows bias, Rows to) {
    std::fill(sums_.begin(), sums_.end(), 0.0F);
    std::fill(greatest_, greatest_ + kQueries, kNone);
    std::fill(weights_, weights_ + kQueries, 0.0F);
    for (int64_t first = 0; first < context_.length; first += kKeys) {
      const int64_t keys = std::min(kKeys, context_.length - first);
      Score(queries, count, head, first, keys);
      for (int64_t query = 0; query < count; ++query) {
        Weigh(query, keys, bias.data == nullptr ? nullptr : bias.data + query * bias.stride + first);
      }
      for (int64_t panel = 0; panel < width_ / kPanelColumns; ++panel) {
        const Rows sums{sums_.data() + panel * kPanelColumns, width_};
        MultiplyPanel({scores_.data(), kKeys}, context_.ValuePanel(head, panel, first), keys,
                      {sums.data, sums.stride}, sums, {count});
      }
    }
    for (int64_t query = 0; query < count; ++query) {
      const float* from = sums_.data() + query * width_;
      float* result = to.data + query * to.stride;
      for (int64_t i = 0; i < context_.depth; ++i) result[i] = from[i] / weights_[query];
    }
  }

 private:
  // Products of the queries with the keys from number `first`, zeros behind the last panel's keys.
  void Score(ConstRows queries, int64_t count, int64_t head, int64_t first, int64_t keys) {
    for (int64_t panel = 0; panel < Panels(keys); ++panel) {
      const Rows to{scores_.data() + panel * kPanelColumns, kKeys};
      for (int64_t k = 0; k < context_.depth; k += kBlockDepth) {
        const ConstRows base{k == 0 ? nullptr : to.data, to.stride};
        MultiplyPanel({queries.data + k, queries.stride},
                      context_.KeyPanel(head, first / kPanelColumns + panel, k),
                      std::min(kBlockDepth, context_.depth - k), base, to, {count});
      }
    }
  }

  // Turns a query's scores into weights relative to the greatest score so far.
  void Weigh(int64_t query, int64_t keys, const float* bias) {
    float* scores = scores_.data() + query * kKeys;
    const int64_t padded = Panels(keys) * kPanelColumns;
    ScaleBy(scores, padded, scale_);
    if (bias != nullptr) {
      for (int64_t i = 0; i < keys; ++i) scores[i] += bias[i];
    }
    std::fill(scores + keys, scores + padded, kNone);
    const float greatest = std::max(greatest_[query], MaxOf(scores, padded));
    // A query whose keys are all blocked so far has no weights yet.
    const float offset = greatest == kNone ? 0.0F : greatest;
    const float sum = ExpOf(scores, padded, offset);
    const float kept = greatest_[query] == kNone ? 0.0F : std::exp(greatest_[query] - offset);
    weights_[query] = weights_[query] * kept + sum;
    if (kept != 1.0F) ScaleBy(sums_.data() + query * width_, width_, kept);
    greatest_[query] = greatest;
  }

  const PackedContext& context_;
  const int64_t width_;
  const float scale_ = static_cast<float>(1 / std::sqrt(static_cast<double>(context_.depth)));
  std::vector<float> scores_;  // [kQueries, kKeys]
  std::vector<float> sums_;    // [kQueries, width_]
  float greatest_[kQueries];
  float weights_[kQueries];
};

torch::Tensor WithDenseRows(const torch::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

}  // namespace

torch::Tensor AttentionByRow(const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
                             const torch::Tensor& bias) {
  const int64_t rows = query.size(0), heads = query.size(1), length = query.size(2), depth = query.size(3);
  TORCH_CHECK(key.sizes() == value.sizes() && key.size(0) == rows && key.size(1) == heads &&
                  key.size(3) == depth && key.size(2) > 0,
              "queries of ", query.sizes(), " do not fit keys of ", key.sizes(), " and values of ",
              value.sizes());
  const torch::Tensor queries = WithDenseRows(query);
  const torch::Tensor offsets =
      bias.defined() ? WithDenseRows(bias.expand({rows, heads, length, key.size(2)})) : bias;
  const PackedContext context(WithDenseRows(key), WithDenseRows(value));
  torch::Tensor result = at::empty({rows, length, heads, depth}, query.options()).transpose(1, 2);
  const float* from = queries.const_data_ptr<float>();
  const float* bias_from = bias.defined() ? offsets.const_data_ptr<float>() : nullptr;
  float* to = result.mutable_data_ptr<float>();
  const int64_t blocks = (length + kQueries - 1) / kQueries;
  ParallelFor(0, rows * heads * blocks, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    QueryBlock block(context);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / blocks;
      const int64_t first = task % blocks * kQueries;
      const auto at = [&](const torch::Tensor& x) {
        return head / heads * x.stride(0) + head % heads * x.stride(1) + first * x.stride(2);
      };
      ConstRows block_bias;
      if (bias_from != nullptr) block_bias = {bias_from + at(offsets), offsets.stride(2)};
      block.Run({from + at(queries), queries.stride(2)}, std::min(kQueries, length - first), head, block_bias,
                {to + at(result), result.stride(2)});
    }
  });
  return result;
}

}  // namespace kandinsky
