#include "pipeline/samplers/guidance.h"

#include <ATen/ATen.h>

#include <array>
#include <vector>

#include "pipeline/samplers/batch_rows.h"

namespace kandinsky {
namespace {

torch::Tensor Channels(const torch::Tensor& rows, int64_t first, int64_t count) {
  return rows.defined() ? rows.narrow(1, first, count) : rows;
}

}  // namespace

NetworkOutput Guide(const torch::Tensor& network_rows, absl::Span<const std::optional<float>> scales,
                    int64_t channels) {
  RowGroups network_groups;
  RowGroups groups;
  std::vector<std::vector<float>> factors;
  for (const std::optional<float>& scale : scales) {
    network_groups.Add(scale.has_value(), scale.has_value() ? 2 : 1);
    groups.Add(scale.has_value(), 1);
    if (scale.has_value()) factors.push_back({*scale});
  }
  const torch::Tensor single = network_groups.Gather(0, network_rows);
  torch::Tensor conditional;
  torch::Tensor guided;
  if (!factors.empty()) {
    const torch::Tensor pairs = network_groups.Gather(1, network_rows);
    const torch::Tensor both = pairs.unflatten(0, {-1, 2});
    conditional = both.select(1, 1);
    const torch::Tensor unconditional = Channels(both.select(1, 0), 0, channels);
    const torch::Tensor scale = RowCoefficients(factors, unconditional).front();
    guided = unconditional + scale * (Channels(conditional, 0, channels) - unconditional);
  }
  NetworkOutput output;
  output.prediction = groups.Merge(std::array{Channels(single, 0, channels), guided}).contiguous();
  const int64_t further = network_rows.size(1) - channels;
  if (further > 0) {
    output.variance = groups.Merge(
        std::array{Channels(single, channels, further), Channels(conditional, channels, further)});
  }
  return output;
}

}  // namespace kandinsky
