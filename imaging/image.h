#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kandinsky {

// An 8-bit picture: rows top to bottom, channels interleaved (HWC), no padding between rows.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;  // 1 grey, 3 RGB, 4 RGBA with straight alpha
  std::vector<uint8_t> pixels;

  size_t row_bytes() const { return static_cast<size_t>(width) * static_cast<size_t>(channels); }
};

}  // namespace kandinsky
