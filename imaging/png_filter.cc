#include "imaging/png_filter.h"

#include <algorithm>
#include <cstdlib>

namespace kandinsky {
namespace {

constexpr uint8_t kUp = 2;
constexpr uint8_t kAverage = 3;

struct Rows {
  const uint8_t* row;
  const uint8_t* above;  // zeros for the first row
  size_t bytes;
};

void FilterUp(const Rows& rows, uint8_t* out) {
  for (size_t i = 0; i < rows.bytes; ++i) out[i] = static_cast<uint8_t>(rows.row[i] - rows.above[i]);
}

// The left neighbor of a byte is `pixel` bytes before it; left of the first pixel there is zero.
void FilterAverage(const Rows& rows, size_t pixel, uint8_t* out) {
  for (size_t i = 0; i < pixel; ++i) out[i] = static_cast<uint8_t>(rows.row[i] - (rows.above[i] >> 1));
  for (size_t i = pixel; i < rows.bytes; ++i) {
    out[i] = static_cast<uint8_t>(rows.row[i] - ((rows.row[i - pixel] + rows.above[i]) >> 1));
  }
}

uint32_t SumOfDifferences(const uint8_t* filtered, size_t bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes; ++i) sum += static_cast<uint32_t>(std::abs(static_cast<int8_t>(filtered[i])));
  return sum;
}

}  // namespace

std::vector<uint8_t> FilterPngRows(const Image& image) {
  const size_t row_bytes = image.row_bytes();
  const auto height = static_cast<size_t>(image.height);
  std::vector<uint8_t> filtered((row_bytes + 1) * height);
  const std::vector<uint8_t> zeros(row_bytes);
  std::vector<uint8_t> averaged(row_bytes);
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* const row = image.pixels.data() + y * row_bytes;
    const Rows rows = {row, y == 0 ? zeros.data() : row - row_bytes, row_bytes};
    uint8_t* const out = filtered.data() + y * (row_bytes + 1);
    out[0] = kUp;
    FilterUp(rows, out + 1);
    FilterAverage(rows, static_cast<size_t>(image.channels), averaged.data());
    if (SumOfDifferences(averaged.data(), row_bytes) < SumOfDifferences(out + 1, row_bytes)) {
      out[0] = kAverage;
      std::copy(averaged.begin(), averaged.end(), out + 1);
    }
  }
  return filtered;
}

}  // namespace kandinsky
