#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "imaging/image.h"
#include "imaging/resize.h"

namespace kandinsky {

// What is asked of one axis: `source_size` samples, of which the first `source_extent` (a fraction may remain
// of the last one) are stretched to `output_size`; of these only `window_size` from `window_start` are
// wanted.
struct AxisRequest {
  ResampleFilter filter = ResampleFilter::kBicubic;
  int source_size = 0;
  float source_extent = 0;
  int output_size = 0;
  int window_start = 0;
  int window_size = 0;
};

// Of weights, so that sums of weighted bytes with overshoot stay within 32 bits.
inline constexpr int kResampleBits = 32 - 8 - 2;

// One axis of a resize: for output sample i the weights taps(i) of the source samples from first[i] on, with
// kResampleBits fractional bits.
struct ResampleAxis {
  std::vector<int> first;
  std::vector<int> offset;  // of sample i's weights in `weights`; one more entry than samples
  std::vector<int32_t> weights;

  int size() const { return static_cast<int>(first.size()); }
  int taps(int i) const { return offset[static_cast<size_t>(i) + 1] - offset[static_cast<size_t>(i)]; }
  const int32_t* weights_of(int i) const { return weights.data() + offset[static_cast<size_t>(i)]; }
  int source_begin() const { return first.front(); }
  int source_end() const { return first.back() + taps(size() - 1); }
};

// The weights that Pillow computes (libImaging/Resample.c, precompute_coeffs and normalize_coeffs_8bpc).
ResampleAxis PlanAxis(const AxisRequest& request);

// The horizontal pass, over rows [row_begin, row_end) of `image`, which become rows 0... of the result. As
// all passes: rounded to nearest, clipped to 0..255. RESOURCE_EXHAUSTED without memory.
absl::StatusOr<Image> ResampleRows(const Image& image, const ResampleAxis& axis, int row_begin, int row_end);

// The vertical pass. Row 0 of `image` is source row `row_begin`.
absl::StatusOr<Image> ResampleColumns(const Image& image, const ResampleAxis& axis, int row_begin);

// Averages blocks of factor_x by factor_y pixels, at the right and lower edge of what is there (Pillow's
// Image.reduce). Factors are 1 or more.
absl::StatusOr<Image> ReduceByBlocks(const Image& image, int factor_x, int factor_y);

}  // namespace kandinsky
