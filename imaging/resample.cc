#include "imaging/resample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/status_macros.h"

namespace kandinsky {
namespace {

// Of weights, so that sums of weighted bytes with overshoot stay within 32 bits.
constexpr int kFractionBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double Lanczos(double x) { return x >= -3.0 && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }

uint8_t ToByte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

// Of all samples, as normalize_coeffs_8bpc of Pillow rounds them.
std::vector<int32_t> FixedPointWeights(const ResampleAxis& axis) {
  std::vector<int32_t> weights(axis.weights.size());
  std::transform(axis.weights.begin(), axis.weights.end(), weights.begin(), [](double weight) {
    const double scaled = weight * (1 << kFractionBits);
    return static_cast<int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  });
  return weights;
}

template <int channels>
void ResampleRow(const uint8_t* row, const ResampleAxis& axis, const int32_t* weights, uint8_t* out) {
  for (int x = 0; x < axis.size(); ++x, out += channels) {
    const uint8_t* pixel = row + static_cast<size_t>(axis.first[static_cast<size_t>(x)]) * channels;
    std::array<int32_t, channels> sums;
    sums.fill(kHalf);
    for (int i = 0; i < axis.taps(x); ++i, ++weights, pixel += channels) {
      for (size_t c = 0; c < channels; ++c) sums[c] += pixel[c] * *weights;
    }
    for (size_t c = 0; c < channels; ++c) out[c] = ToByte(sums[c]);
  }
}

// The number of bytes that the vertical pass sums up at once, in registers.
constexpr size_t kStrip = 64;

struct ColumnTaps {
  const uint8_t* top;  // the first source row of the output row
  size_t stride;
  const int32_t* weights;
  int count;
};

template <size_t bytes>
void ResampleStrip(const ColumnTaps& taps, size_t at, uint8_t* out) {
  std::array<int32_t, bytes> sums;
  sums.fill(kHalf);
  const uint8_t* row = taps.top + at;
  for (int i = 0; i < taps.count; ++i, row += taps.stride) {
    const int32_t weight = taps.weights[i];
    for (size_t b = 0; b < bytes; ++b) sums[b] += row[b] * weight;
  }
  for (size_t b = 0; b < bytes; ++b) out[at + b] = ToByte(sums[b]);
}

// Blocks of one row of the reduced image.
struct BlockRow {
  const uint8_t* top;
  size_t stride;
  int rows;      // source rows in the block
  int channels;  // of both images
};

uint8_t AverageBlock(const BlockRow& block, int x, int columns, int channel) {
  uint64_t sum = 0;
  for (int row = 0; row < block.rows; ++row) {
    const uint8_t* value = block.top + static_cast<size_t>(row) * block.stride +
                           static_cast<size_t>(x) * static_cast<size_t>(block.channels) +
                           static_cast<size_t>(channel);
    for (int column = 0; column < columns; ++column, value += block.channels) sum += *value;
  }
  const auto count = static_cast<uint64_t>(block.rows) * static_cast<uint64_t>(columns);
  sum += count / 2;
  if (count >= uint64_t{1} << 24) return static_cast<uint8_t>(sum / count);  // beyond Pillow's arithmetic
  // Pillow's division, which computes its factor in 32-bit floats.
  const auto factor = static_cast<uint32_t>(4294967296.0F / static_cast<float>(256 * count));
  return static_cast<uint8_t>(sum * factor >> 24);
}

}  // namespace

ResampleAxis PlanAxis(const AxisRequest& request) {
  const bool bicubic = request.filter == ResampleFilter::kBicubic;
  const double scale = static_cast<double>(request.source_extent) / request.output_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = (bicubic ? 2.0 : 3.0) * filter_scale;
  ResampleAxis axis;
  axis.first.reserve(static_cast<size_t>(request.window_size));
  axis.offset.reserve(static_cast<size_t>(request.window_size) + 1);
  axis.offset.push_back(0);
  std::vector<double> weights;
  for (int i = 0; i < request.window_size; ++i) {
    const double center = (request.window_start + i + 0.5) * scale;
    // Pillow's own bounds, which lround() would change for halves.
    // NOLINTBEGIN(bugprone-incorrect-roundings)
    const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
    const int end = std::min(static_cast<int>(center + support + 0.5), request.source_size);
    // NOLINTEND(bugprone-incorrect-roundings)
    weights.clear();
    double sum = 0.0;
    for (int x = begin; x < end; ++x) {
      const double at = (x - center + 0.5) * (1.0 / filter_scale);
      weights.push_back(bicubic ? Bicubic(at) : Lanczos(at));
      sum += weights.back();
    }
    for (const double weight : weights) axis.weights.push_back(sum != 0.0 ? weight / sum : weight);
    axis.first.push_back(begin);
    axis.offset.push_back(static_cast<int>(axis.weights.size()));
  }
  return axis;
}

bool RunsVerticalFirst(const AxisRequest& x, const AxisRequest& y) {
  const int64_t lost_rows = int64_t{y.source_size} - y.output_size;
  const int64_t lost_columns = int64_t{x.source_size} - x.output_size;
  return lost_rows > 0 && lost_rows > 2 * lost_columns;
}

absl::StatusOr<Image> ResampleRows(const Image& image, const ResampleAxis& axis, int row_begin, int row_end) {
  const std::vector<int32_t> weights = FixedPointWeights(axis);
  ASSIGN_OR_RETURN(Image out, AllocateImage(axis.size(), row_end - row_begin, image.channels));
  for (int y = row_begin; y < row_end; ++y) {
    const uint8_t* row = image.pixels.data() + static_cast<size_t>(y) * image.row_bytes();
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y - row_begin) * out.row_bytes();
    if (image.channels == 1) {
      ResampleRow<1>(row, axis, weights.data(), to);
    } else if (image.channels == 3) {
      ResampleRow<3>(row, axis, weights.data(), to);
    } else {
      ResampleRow<4>(row, axis, weights.data(), to);
    }
  }
  return out;
}

absl::StatusOr<Image> ResampleColumns(const Image& image, const ResampleAxis& axis, int row_begin) {
  const std::vector<int32_t> weights = FixedPointWeights(axis);
  ASSIGN_OR_RETURN(Image out, AllocateImage(image.width, axis.size(), image.channels));
  const size_t row_bytes = image.row_bytes();
  for (int y = 0; y < axis.size(); ++y) {
    const auto top = static_cast<size_t>(axis.first[static_cast<size_t>(y)] - row_begin);
    const ColumnTaps taps = {image.pixels.data() + top * row_bytes, row_bytes,
                             weights.data() + axis.offset[static_cast<size_t>(y)], axis.taps(y)};
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y) * row_bytes;
    size_t at = 0;
    for (; at + kStrip <= row_bytes; at += kStrip) ResampleStrip<kStrip>(taps, at, to);
    for (; at < row_bytes; ++at) ResampleStrip<1>(taps, at, to);
  }
  return out;
}

absl::StatusOr<Image> ReduceByBlocks(const Image& image, int factor_x, int factor_y) {
  ASSIGN_OR_RETURN(Image out, AllocateImage((image.width + factor_x - 1) / factor_x,
                                            (image.height + factor_y - 1) / factor_y, image.channels));
  uint8_t* to = out.pixels.data();
  for (int top = 0; top < image.height; top += factor_y) {
    const BlockRow block = {image.pixels.data() + static_cast<size_t>(top) * image.row_bytes(),
                            image.row_bytes(), std::min(factor_y, image.height - top), image.channels};
    for (int left = 0; left < image.width; left += factor_x) {
      const int columns = std::min(factor_x, image.width - left);
      for (int channel = 0; channel < image.channels; ++channel) {
        *to++ = AverageBlock(block, left, columns, channel);
      }
    }
  }
  return out;
}

}  // namespace kandinsky
