#include "pipeline/samplers/batch_rows.h"

#include <ATen/ATen.h>

namespace kandinsky {

void RowGroups::Add(size_t group, int64_t count) {
  if (!runs_.empty() && runs_.back().group == group) {
    runs_.back().count += count;
  } else {
    runs_.push_back({group, count});
  }
}

torch::Tensor RowGroups::Gather(size_t group, const torch::Tensor& batch) const {
  if (runs_.size() == 1 && runs_.front().group == group) return batch;
  std::vector<torch::Tensor> parts;
  int64_t first = 0;
  for (const Run& run : runs_) {
    if (run.group == group) parts.push_back(batch.narrow(0, first, run.count));
    first += run.count;
  }
  return parts.empty() ? torch::Tensor() : at::cat(parts);
}

torch::Tensor RowGroups::Merge(absl::Span<const torch::Tensor> groups) const {
  if (runs_.size() == 1) return groups[runs_.front().group];
  std::vector<torch::Tensor> parts;
  std::vector<int64_t> first(groups.size(), 0);
  for (const Run& run : runs_) {
    parts.push_back(groups[run.group].narrow(0, first[run.group], run.count));
    first[run.group] += run.count;
  }
  return at::cat(parts);
}

at::ScalarType CoefficientType(const torch::Tensor& rows) {
  return at::promote_types(rows.scalar_type(), torch::kFloat32);
}

std::vector<torch::Tensor> RowCoefficients(absl::Span<const std::vector<float>> rows,
                                           const torch::Tensor& like) {
  const auto row_count = static_cast<int64_t>(rows.size());
  const auto per_row = static_cast<int64_t>(rows.front().size());
  torch::Tensor table = at::empty({per_row, row_count}, torch::kFloat32);
  auto* const values = table.data_ptr<float>();
  for (int64_t i = 0; i < row_count; ++i) {
    const std::vector<float>& row = rows[static_cast<size_t>(i)];
    for (int64_t k = 0; k < per_row; ++k) values[k * row_count + i] = row[static_cast<size_t>(k)];
  }
  std::vector<int64_t> shape(static_cast<size_t>(like.dim()) + 1, 1);
  shape[0] = per_row;
  shape[1] = row_count;
  return table.to(like.device(), CoefficientType(like)).view(shape).unbind();
}

torch::Tensor MixRows(absl::Span<const NoiseMixture> mixtures, const torch::Tensor& clean,
                      const torch::Tensor& noise) {
  std::vector<std::vector<float>> weights;
  weights.reserve(mixtures.size());
  for (const NoiseMixture& mixture : mixtures) weights.push_back({mixture.clean, mixture.noise});
  const std::vector<torch::Tensor> columns = RowCoefficients(weights, clean);
  return (columns[0] * clean).add_(columns[1] * noise);
}

}  // namespace kandinsky
