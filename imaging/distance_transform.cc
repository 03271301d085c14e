#include "imaging/distance_transform.h"

#include <algorithm>

namespace kandinsky {
namespace {

// Distances along columns, at most max_distance: down and then up.
std::vector<int32_t> ColumnDistances(const Image& mask, int threshold, int max_distance) {
  const auto width = static_cast<size_t>(mask.width);
  std::vector<int32_t> distances(mask.pixels.size());
  for (size_t i = 0; i < distances.size(); ++i) {
    const int32_t above = i < width ? max_distance : distances[i - width];
    distances[i] = mask.pixels[i] < threshold ? 0 : std::min(above + 1, max_distance);
  }
  for (size_t i = distances.size() - width; i-- > 0;) {
    distances[i] = std::min(distances[i], distances[i + width] + 1);
  }
  return distances;
}

// The lower envelope of the parabolas (x - i)^2 + heights[i]^2 of one row.
class LowerEnvelope {
 public:
  explicit LowerEnvelope(size_t width) : centers_(width), starts_(width) {}

  // Replaces the column distances of a row by squared distances.
  void Apply(int32_t* row, int width) {
    Build(row, width);
    heights_.assign(row, row + width);
    for (int x = width; x-- > 0;) {
      const int64_t center = centers_[top_];
      const int64_t height = heights_[static_cast<size_t>(center)];
      row[x] = static_cast<int32_t>((x - center) * (x - center) + height * height);
      if (x == starts_[top_] && top_ > 0) --top_;
    }
  }

 private:
  static int64_t Value(const int32_t* row, int64_t center, int64_t x) {
    const int64_t height = row[center];
    return (x - center) * (x - center) + height * height;
  }

  // The last x at which the parabola of `left` is not above that of `right`.
  static int64_t Crossing(const int32_t* row, int64_t left, int64_t right) {
    const int64_t a = row[left];
    const int64_t b = row[right];
    const int64_t numerator = right * right - left * left + b * b - a * a;
    const int64_t denominator = 2 * (right - left);
    return numerator >= 0 ? numerator / denominator : -((-numerator + denominator - 1) / denominator);
  }

  void Build(const int32_t* row, int width) {
    top_ = 0;
    centers_[0] = 0;
    starts_[0] = 0;
    bool empty = false;
    for (int64_t x = 1; x < width; ++x) {
      while (!empty && Value(row, centers_[top_], starts_[top_]) > Value(row, x, starts_[top_])) {
        empty = top_ == 0;
        if (!empty) --top_;
      }
      if (empty) {
        centers_[0] = x;
        empty = false;
        continue;
      }
      const int64_t start = Crossing(row, centers_[top_], x) + 1;
      if (start >= width) continue;
      ++top_;
      centers_[top_] = x;
      starts_[top_] = start;
    }
  }

  size_t top_ = 0;
  std::vector<int64_t> centers_;
  std::vector<int64_t> starts_;  // the first x at which a parabola is the lowest
  std::vector<int32_t> heights_;
};

}  // namespace

std::vector<int32_t> SquaredDistances(const Image& mask, int threshold, int max_distance) {
  std::vector<int32_t> distances = ColumnDistances(mask, threshold, max_distance);
  LowerEnvelope envelope(static_cast<size_t>(mask.width));
  for (int y = 0; y < mask.height; ++y) {
    envelope.Apply(distances.data() + static_cast<size_t>(y) * mask.row_bytes(), mask.width);
  }
  const int32_t limit = max_distance * max_distance;
  for (int32_t& distance : distances) distance = std::min(distance, limit);
  return distances;
}

}  // namespace kandinsky
