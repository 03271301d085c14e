#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "imaging/image.h"

namespace kandinsky {

// Encodes a gray, RGB or RGBA image as WebP. `quality` 1-99 is lossy on libwebp's scale, 100 is lossless:
// every byte comes back, of invisible pixels too. Gray is stored as RGB, as WebP has no gray.
// INVALID_ARGUMENT for a quality out of range, an image that contradicts itself or a side above 16383.
// Thread-safe.
absl::StatusOr<std::string> EncodeWebp(const Image& image, int quality);

}  // namespace kandinsky
