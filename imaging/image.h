#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace kandinsky {

// An 8-bit image: rows top to bottom, channels interleaved (HWC), no padding between rows.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;  // 1 gray, 3 RGB, 4 RGBA with straight alpha
  std::vector<uint8_t> pixels;

  size_t row_bytes() const { return static_cast<size_t>(width) * static_cast<size_t>(channels); }
};

// The longest side of an image that is decoded or resized; bounds the tables that grow with one side alone.
inline constexpr int kMaxImageSide = 65535;

// Whether the fields agree: sides of 1 or more, 1, 3 or 4 channels, as many bytes of pixels as these need and
// fewer than 2^30. INVALID_ARGUMENT otherwise, with the numbers.
absl::Status CheckImage(const Image& image);

// A black image. Sides and channels are 1 or more. RESOURCE_EXHAUSTED when there is no memory for it.
absl::StatusOr<Image> AllocateImage(int width, int height, int channels);

}  // namespace kandinsky
