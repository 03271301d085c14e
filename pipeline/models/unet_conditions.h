#pragma once

#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace kandinsky {

// What the U-Net needs besides the sample, split by what it depends on, so that nothing is computed twice.
// Attention layers and residual blocks are counted in the order of execution.

// Keys and values of the image tokens: depend on the request only.
struct UNetContext {
  std::vector<torch::Tensor> keys;    // per attention layer [rows, L, C]
  std::vector<torch::Tensor> values;  // as keys
};

// Scale and shift for a run of time-steps: depend on request and time-step only.
struct UNetTime {
  std::vector<torch::Tensor> scale_shift;  // per residual block [steps, rows, 2C]
};

// What one forward pass of N rows needs.
struct UNetConditions {
  std::vector<torch::Tensor> keys;         // per attention layer [N, L, C]
  std::vector<torch::Tensor> values;       // as keys
  std::vector<torch::Tensor> scale_shift;  // per residual block [N, 2C]
};

// One request's part of a batch: all rows of `context`, at step `step` of `time`. Both outlive the call.
struct UNetConditionRows {
  const UNetContext* context = nullptr;
  const UNetTime* time = nullptr;
  int64_t step = 0;  // index into the first dimension of UNetTime's tensors
};

// Conditions of a batch: the rows of every part (at least one), in order.
UNetConditions AssembleConditions(absl::Span<const UNetConditionRows> parts);

// Hands the conditions out in the order of execution. One forward pass uses one reader.
class UNetConditionReader {
 public:
  // `conditions` outlives the reader.
  explicit UNetConditionReader(const UNetConditions& conditions) : conditions_(conditions) {}

  struct KeyValue {
    const torch::Tensor& key;
    const torch::Tensor& value;
  };
  // Throws std::out_of_range when the conditions belong to a smaller network.
  KeyValue NextContext() {
    const size_t layer = attention_++;
    return {conditions_.keys.at(layer), conditions_.values.at(layer)};
  }
  const torch::Tensor& NextScaleShift() { return conditions_.scale_shift.at(resnet_++); }

 private:
  const UNetConditions& conditions_;
  size_t attention_ = 0;
  size_t resnet_ = 0;
};

}  // namespace kandinsky
