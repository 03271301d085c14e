#pragma once

#include <torch/types.h>

#include <vector>

#include "absl/types/span.h"
#include "pipeline/samplers/noise_schedule.h"

namespace kandinsky {

// The rows of a batch in groups, each of which is computed by itself. Where all rows are of one group nothing
// is copied.
class RowGroups {
 public:
  // The next `count` rows of the batch belong to `group`.
  void Add(size_t group, int64_t count);

  // The rows of `group` among those of the batch, in their order; undefined when it has none.
  torch::Tensor Gather(size_t group, const torch::Tensor& batch) const;

  // The inverse: the rows of the batch, of groups[g] those of group g.
  torch::Tensor Merge(absl::Span<const torch::Tensor> groups) const;

 private:
  struct Run {
    size_t group;
    int64_t count;
  };

  std::vector<Run> runs_;  // neighbors belong to different groups
};

// What rows of that dtype are computed in: float32, or their own dtype where that is wider.
at::ScalarType CoefficientType(const torch::Tensor& rows);

// Numbers of rows as tensors: of rows[i][k], all i, the k-th result, [rows.size(), 1, ...] with as many
// dimensions as `like`, on its device and of its CoefficientType. Equally many of each row. One copy to the
// device for all of them.
std::vector<torch::Tensor> RowCoefficients(absl::Span<const std::vector<float>> rows,
                                           const torch::Tensor& like);

// Sampler::AddNoise for rows with mixtures of their own: a row of `clean` and `noise` for each.
torch::Tensor MixRows(absl::Span<const NoiseMixture> mixtures, const torch::Tensor& clean,
                      const torch::Tensor& noise);

}  // namespace kandinsky
