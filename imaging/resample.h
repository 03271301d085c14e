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

// One axis of a resize: for output sample i the weights of the taps(i) source samples from first[i] on.
struct ResampleAxis {
  std::vector<int> first;
  std::vector<int> offset;      // of sample i's weights in `weights`; one more entry than samples
  std::vector<double> weights;  // those of one sample have the sum 1

  int size() const { return static_cast<int>(first.size()); }
  int taps(int i) const { return offset[static_cast<size_t>(i) + 1] - offset[static_cast<size_t>(i)]; }
  int source_begin() const { return first.front(); }
  int source_end() const { return first.back() + taps(size() - 1); }
};

// The weights that Pillow computes (libImaging/Resample.c, precompute_coeffs).
ResampleAxis PlanAxis(const AxisRequest& request);

// Whether Pillow 13 runs the vertical pass first: where the height shrinks, and by more than twice as many
// samples as the width (ImagingResampleInner of the same file; 10.4 never does). Both passes round, so
// the order shows.
bool RunsVerticalFirst(const AxisRequest& x, const AxisRequest& y);

// The horizontal pass, over rows [row_begin, row_end) of `image`, which become rows 0... of the result. As
// all passes: in fixed point, rounded to nearest, clipped to 0..255. RESOURCE_EXHAUSTED without memory.
absl::StatusOr<Image> ResampleRows(const Image& image, const ResampleAxis& axis, int row_begin, int row_end);

// The vertical pass. Row 0 of `image` is source row `row_begin`.
absl::StatusOr<Image> ResampleColumns(const Image& image, const ResampleAxis& axis, int row_begin);

// Averages blocks of factor_x by factor_y pixels, at the right and lower edge of what is there (Pillow's
// Image.reduce). Factors are 1 or more.
absl::StatusOr<Image> ReduceByBlocks(const Image& image, int factor_x, int factor_y);

}  // namespace kandinsky
