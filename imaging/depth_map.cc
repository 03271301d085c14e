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

AxisRequest WholeAxis(int from, int to) {
  return {.filter = ResampleFilter::kBicubic,
          .source_size = from,
          .source_extent = static_cast<float>(from),
          .output_size = to,
          .window_start = 0,
          .window_size = to};
}

// Output sample i of values that lie `stride` apart. Sums in double precision, as Pillow does.
float Resampled(const float* values, size_t stride, const ResampleAxis& axis, int i) {
  const float* value = values + static_cast<size_t>(axis.first[static_cast<size_t>(i)]) * stride;
  const double* weights = axis.weights.data() + axis.offset[static_cast<size_t>(i)];
  double sum = 0;
  for (int tap = 0; tap < axis.taps(i); ++tap, value += stride) {
    sum += static_cast<double>(*value) * weights[tap];
  }
  return static_cast<float>(sum);
}

absl::StatusOr<DepthMap> ResampleRows(const DepthMap& depth, const AxisRequest& x) {
  if (x.output_size == depth.width) return depth;
  const ResampleAxis axis = PlanAxis(x);
  ASSIGN_OR_RETURN(DepthMap out, AllocateDepthMap(x.output_size, depth.height));
  auto to = out.values.begin();
  for (int y = 0; y < depth.height; ++y) {
    const float* row = depth.values.data() + static_cast<size_t>(y) * static_cast<size_t>(depth.width);
    for (int i = 0; i < out.width; ++i) *to++ = Resampled(row, 1, axis, i);
  }
  return out;
}

absl::StatusOr<DepthMap> ResampleColumns(const DepthMap& depth, const AxisRequest& y) {
  if (y.output_size == depth.height) return depth;
  const ResampleAxis axis = PlanAxis(y);
  ASSIGN_OR_RETURN(DepthMap out, AllocateDepthMap(depth.width, y.output_size));
  auto to = out.values.begin();
  for (int i = 0; i < out.height; ++i) {
    for (int x = 0; x < out.width; ++x) {
      *to++ = Resampled(depth.values.data() + x, static_cast<size_t>(depth.width), axis, i);
    }
  }
  return out;
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
  const AxisRequest x = WholeAxis(depth.width, width);
  const AxisRequest y = WholeAxis(depth.height, height);
  if (RunsVerticalFirst(x, y)) {
    ASSIGN_OR_RETURN(depth, ResampleColumns(depth, y));
    ASSIGN_OR_RETURN(depth, ResampleRows(depth, x));
  } else {
    ASSIGN_OR_RETURN(depth, ResampleRows(depth, x));
    ASSIGN_OR_RETURN(depth, ResampleColumns(depth, y));
  }
  for (float& value : depth.values) value = std::clamp(value, 0.0f, 1.0f);
  return depth;
}

}  // namespace kandinsky
