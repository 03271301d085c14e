#include "pipeline/models/unet_conditions.h"

#include <ATen/ATen.h>

namespace kandinsky {
namespace {

// Concatenates what `tensor_of` yields for every part; a single part stays a view.
template <typename TensorOf>
torch::Tensor ConcatenateRows(absl::Span<const UNetConditionRows> parts, const TensorOf& tensor_of) {
  if (parts.size() == 1) return tensor_of(parts[0]);
  std::vector<torch::Tensor> rows;
  rows.reserve(parts.size());
  for (const UNetConditionRows& part : parts) rows.push_back(tensor_of(part));
  return at::cat(rows, 0);
}

}  // namespace

UNetConditions AssembleConditions(absl::Span<const UNetConditionRows> parts) {
  using Rows = UNetConditionRows;
  UNetConditions conditions;
  for (size_t i = 0; i < parts[0].context->keys.size(); ++i) {
    conditions.keys.push_back(
        ConcatenateRows(parts, [i](const Rows& part) { return part.context->keys[i]; }));
    conditions.values.push_back(
        ConcatenateRows(parts, [i](const Rows& part) { return part.context->values[i]; }));
  }
  for (size_t i = 0; i < parts[0].time->scale_shift.size(); ++i) {
    conditions.scale_shift.push_back(ConcatenateRows(
        parts, [i](const Rows& part) { return part.time->scale_shift[i].select(0, part.step); }));
  }
  return conditions;
}

}  // namespace kandinsky
