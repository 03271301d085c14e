#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

// Encodes a gray or RGB image as a baseline JPEG (JFIF). `quality` is 1 (small) to 100, on libjpeg's scale;
// below 90 color is stored at half the resolution both ways (4:2:0), from 90 on at the full one (4:4:4).
// INVALID_ARGUMENT for RGBA, a quality out of range, an image that contradicts itself or a side above 65500.
// Thread-safe.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

}  // namespace kandinsky
