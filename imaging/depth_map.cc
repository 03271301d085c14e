#include "imaging/depth_map.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "imaging/resample.h"

namespace kandinsky {
namespace {

constexpr float kWeightOfOne = 1 << kResampleBits;

ResampleAxis WholeAxis(int from, int to) {
  return PlanAxis({.filter = ResampleFilter::kBicubic,
                   .source_size = from,
                   .source_extent = static_cast<float>(from),
                   .output_size = to,
                   .window_start = 0,
                   .window_size = to});
}

// Output sample i of values that lie `stride` apart.
float Resampled(const float* values, size_t stride, const ResampleAxis& axis, int i) {
  const float* value = values + static_cast<size_t>(axis.first[static_cast<size_t>(i)]) * stride;
  const int32_t* weights = axis.weights_of(i);
  float sum = 0;
  for (int tap = 0; tap < axis.taps(i); ++tap, value += stride) {
    sum += *value * static_cast<float>(weights[tap]);
  }
  return sum / kWeightOfOne;
}

}  // namespace

absl::StatusOr<DepthMap> AllocateDepthMap(int width, int height) {
  DepthMap depth{width, height, {}};
  try {
    depth.values.resize(static_cast<size_t>(width) * static_cast<size_t>(height));
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError("no memory for the depth map");
  }
  return depth;
}

absl::StatusOr<DepthMap> ResizeDepth(DepthMap depth, int width, int height) {
  if (depth.width == width && depth.height == height) return depth;
  const ResampleAxis horizontal = WholeAxis(depth.width, width);
  const ResampleAxis vertical = WholeAxis(depth.height, height);
  ASSIGN_OR_RETURN(DepthMap between, AllocateDepthMap(width, depth.height));
  ASSIGN_OR_RETURN(DepthMap resized, AllocateDepthMap(width, height));
  auto to = between.values.begin();
  for (int y = 0; y < depth.height; ++y) {
    const float* row = depth.values.data() + static_cast<size_t>(y) * static_cast<size_t>(depth.width);
    for (int x = 0; x < width; ++x) *to++ = Resampled(row, 1, horizontal, x);
  }
  to = resized.values.begin();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float value = Resampled(between.values.data() + x, static_cast<size_t>(width), vertical, y);
      *to++ = std::clamp(value, 0.0f, 1.0f);
    }
  }
  return resized;
}

}  // namespace kandinsky
